// SPDX-License-Identifier: BSD-3-Clause
/* FIEMAP: `extents FILE` makes a file of two blocks with holes around them. It ends with 0, or prints what is wrong. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "must.h"

#define BLOCK 65536ull
#define ROOM 8

static struct fiemap *map;

static int look(int file, unsigned long long start, unsigned long long length, unsigned int room)
{
	memset(map, 0, sizeof(*map) + ROOM * sizeof(struct fiemap_extent));
	map->fm_start = start;
	map->fm_length = length;
	map->fm_extent_count = room;
	return ioctl(file, FS_IOC_FIEMAP, map);
}

static int is_extent(int index, unsigned long long at, unsigned int last)
{
	const struct fiemap_extent *extent = &map->fm_extents[index];

	return extent->fe_logical == at && extent->fe_length == BLOCK && extent->fe_flags == (FIEMAP_EXTENT_UNKNOWN | last);
}

int main(int count, char **arguments)
{
	static char block[BLOCK];
	int file;

	memset(block, 'x', sizeof(block));
	map = malloc(sizeof(*map) + ROOM * sizeof(struct fiemap_extent));
	MUST(count == 2 && map && (file = open(arguments[1], O_RDWR | O_CREAT | O_TRUNC, 0600)) >= 0);
	MUST(look(file, 0, FIEMAP_MAX_OFFSET, ROOM) == 0 && map->fm_mapped_extents == 0);
	MUST(pwrite(file, block, BLOCK, 2 * BLOCK) == BLOCK && pwrite(file, block, BLOCK, 20 * BLOCK) == BLOCK);
	MUST(ftruncate(file, 30 * BLOCK) == 0);
	MUST(look(file, 0, FIEMAP_MAX_OFFSET, ROOM) == 0 && map->fm_mapped_extents == 2);
	MUST(is_extent(0, 2 * BLOCK, 0) && is_extent(1, 20 * BLOCK, FIEMAP_EXTENT_LAST));
	/* The number of extents, no more of them than there is room for, and those in a range. */
	MUST(look(file, 0, FIEMAP_MAX_OFFSET, 0) == 0 && map->fm_mapped_extents == 2);
	MUST(look(file, 0, FIEMAP_MAX_OFFSET, 1) == 0 && map->fm_mapped_extents == 1 && is_extent(0, 2 * BLOCK, 0));
	MUST(look(file, 3 * BLOCK, 4 * BLOCK, ROOM) == 0 && map->fm_mapped_extents == 0);
	MUST(look(file, 19 * BLOCK, 4 * BLOCK, ROOM) == 0 && map->fm_mapped_extents == 1 && is_extent(0, 20 * BLOCK, FIEMAP_EXTENT_LAST));
	MUST(fsync(file) == 0 && look(file, 0, FIEMAP_MAX_OFFSET, ROOM) == 0 && map->fm_mapped_extents == 2);
	return 0;
}
