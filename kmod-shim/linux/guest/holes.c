// SPDX-License-Identifier: BSD-3-Clause
/*
 * Holes, and allocating room: `holes FILE` makes a file with both. read(2), a mapping and lseek(2) must agree on it. It ends with
 * 0, or prints what is wrong.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "must.h"

#define BLOCK (64 << 10)
#define BLOCKS 16
#define BYTES (BLOCKS * BLOCK)

static char bytes[BYTES];

/* True if all bytes of a range are `byte`. */
static int is_all(int file, off_t at, size_t length, char byte)
{
	size_t i;

	if (pread(file, bytes, length, at) != (ssize_t)length)
		return 0;
	for (i = 0; i < length; i++)
		if (bytes[i] != byte)
			return 0;
	return 1;
}

static off_t size_of(int file)
{
	struct stat stat;

	return fstat(file, &stat) ? -1 : stat.st_size;
}

int main(int count, char **arguments)
{
	struct stat before, after;
	char *map;
	int file;

	MUST(count == 2);
	file = open(arguments[1], O_RDWR | O_CREAT | O_TRUNC, 0644);
	memset(bytes, 'x', BYTES);
	MUST(file >= 0 && write(file, bytes, BYTES) == BYTES && fsync(file) == 0 && fstat(file, &before) == 0);
	map = mmap(NULL, 2 * BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	MUST(map != MAP_FAILED && map[2 * BLOCK] == 'x');

	/* Two blocks become a hole, which all ways to the file show. */
	MUST(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * BLOCK, 2 * BLOCK) == 0);
	MUST(map[2 * BLOCK] == 0 && map[4 * BLOCK - 1] == 0 && map[2 * BLOCK - 1] == 'x' && map[4 * BLOCK] == 'x');
	MUST(is_all(file, 2 * BLOCK, 2 * BLOCK, 0) && is_all(file, 0, 2 * BLOCK, 'x') && is_all(file, 4 * BLOCK, BYTES - 4 * BLOCK, 'x'));
	MUST(lseek(file, 0, SEEK_HOLE) == 2 * BLOCK && lseek(file, 2 * BLOCK, SEEK_DATA) == 4 * BLOCK);
	MUST(lseek(file, 4 * BLOCK, SEEK_HOLE) == BYTES && lseek(file, 77, SEEK_DATA) == 77);
	MUST(fsync(file) == 0 && fstat(file, &after) == 0 && after.st_blocks < before.st_blocks && after.st_size == BYTES);
	MUST(lseek(file, BYTES, SEEK_DATA) == -1 && errno == ENXIO);

	/* A hole of a few bytes reads as zeros, even over what a mapping has changed. */
	map[5 * BLOCK + 50] = 'm';
	map[5 * BLOCK + 300] = 'm';
	MUST(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5 * BLOCK + 10, 100) == 0);
	MUST(is_all(file, 5 * BLOCK + 10, 100, 0) && map[5 * BLOCK + 50] == 0 && map[5 * BLOCK + 300] == 'm' && map[5 * BLOCK + 110] == 'x');

	/* What a mapping changes in a hole is no longer a hole, though it wasn't written back. */
	map[3 * BLOCK] = 'm';
	MUST(lseek(file, 2 * BLOCK, SEEK_DATA) == 3 * BLOCK);

	/* Zeros up to the end and beyond it; the file grows, or doesn't. */
	MUST(fallocate(file, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 14 * BLOCK, 4 * BLOCK) == 0 && size_of(file) == BYTES);
	MUST(is_all(file, 14 * BLOCK, 2 * BLOCK, 0) && is_all(file, 13 * BLOCK, BLOCK, 'x'));
	MUST(fallocate(file, FALLOC_FL_ZERO_RANGE, 13 * BLOCK, 4 * BLOCK) == 0 && size_of(file) == BYTES + BLOCK);
	MUST(is_all(file, 13 * BLOCK, 4 * BLOCK, 0));

	/* Allocating beyond the end extends a file with zeros, whatever a mapping has left there. */
	MUST(ftruncate(file, BYTES - BLOCK + 100) == 0);
	map[BYTES - BLOCK + 200] = 'g';
	MUST(fallocate(file, FALLOC_FL_KEEP_SIZE, 0, 2 * BYTES) == 0 && size_of(file) == BYTES - BLOCK + 100);
	MUST(fallocate(file, 0, 0, BYTES) == 0 && size_of(file) == BYTES);
	MUST(map[BYTES - BLOCK + 200] == 0 && is_all(file, BYTES - BLOCK, BLOCK, 0));

	/* What the format can't do is refused, and changes nothing. */
	MUST(fallocate(file, FALLOC_FL_COLLAPSE_RANGE, 0, BLOCK) == -1 && errno == EOPNOTSUPP && size_of(file) == BYTES);
	MUST(fsync(file) == 0 && munmap(map, 2 * BYTES) == 0 && close(file) == 0);
	return 0;
}
