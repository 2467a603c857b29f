// SPDX-License-Identifier: BSD-3-Clause
/*
 * Direct I/O together with all other ways to a file: `direct FILE` makes one. A change made in one way must at once be read in
 * the others. It ends with 0, or prints what is wrong.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "must.h"

#define PAGE 4096
#define BYTES (300 << 10)

int main(int count, char **arguments)
{
	char *block, *map, page[PAGE];
	int file, direct;

	MUST(count == 2);
	file = open(arguments[1], O_RDWR | O_CREAT | O_TRUNC, 0644);
	direct = open(arguments[1], O_RDWR | O_DIRECT);
	MUST(file >= 0 && direct >= 0 && posix_memalign((void **)&block, PAGE, BYTES) == 0);

	/* Written directly, and read through the page cache. */
	memset(block, 'd', BYTES);
	MUST(pwrite(direct, block, BYTES, 0) == BYTES);
	MUST(pread(file, page, PAGE, 10 * PAGE) == PAGE && page[0] == 'd' && page[PAGE - 1] == 'd');
	map = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	MUST(map != MAP_FAILED && map[10 * PAGE] == 'd' && map[20 * PAGE] == 'd');

	/* Written directly over cached pages, one of which was changed by the mapping: its other changes stay. */
	map[20 * PAGE] = 'm';
	map[21 * PAGE] = 'm';
	memset(block, 'e', 2 * PAGE);
	MUST(pwrite(direct, block, PAGE, 10 * PAGE) == PAGE && pwrite(direct, block, PAGE, 20 * PAGE) == PAGE);
	MUST(map[10 * PAGE] == 'e' && map[20 * PAGE] == 'e' && map[21 * PAGE] == 'm');

	/* Read directly: what was written by the mapping and write(2). */
	MUST(pwrite(file, "w", 1, 22 * PAGE) == 1);
	MUST(pread(direct, block, BYTES, 0) == BYTES);
	MUST(block[0] == 'd' && block[10 * PAGE] == 'e' && block[20 * PAGE] == 'e' && block[21 * PAGE] == 'm' && block[22 * PAGE] == 'w');
	MUST(block[BYTES - 1] == 'd');

	/* The end, and beyond it. */
	MUST(pread(direct, block, 2 * PAGE, BYTES - PAGE) == PAGE && pread(direct, block, PAGE, BYTES) == 0);
	MUST(pwrite(direct, block, PAGE, BYTES) == PAGE && lseek(file, 0, SEEK_END) == BYTES + PAGE);
	MUST(fsync(direct) == 0 && munmap(map, BYTES) == 0 && close(direct) == 0 && close(file) == 0);
	return 0;
}
