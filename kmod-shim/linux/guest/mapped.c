// SPDX-License-Identifier: BSD-3-Clause
/*
 * Files changed through shared mappings: `mapped FILE` makes one, and changes it by a mapping, write(2) and truncate(2) in turn.
 * The latest change must be read by the others. It ends with 0, or prints what is wrong.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "must.h"

#define PAGES 40
#define BYTES (PAGES * 4096)

int main(int count, char **arguments)
{
	char block[4096], *map;
	int file, page;

	MUST(count == 2);
	file = open(arguments[1], O_RDWR | O_CREAT | O_TRUNC, 0644);
	MUST(file >= 0 && ftruncate(file, BYTES - 100) == 0);
	map = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	MUST(map != MAP_FAILED);
	/* A hole becomes content. */
	for (page = 0; page < PAGES; page += 2)
		memset(map + page * 4096, 'a' + page % 26, 4000);
	MUST(pread(file, block, 4096, 4 * 4096) == 4096 && block[0] == 'e' && block[3999] == 'e' && block[4000] == 0);
	/* The mapping shows what write(2) wrote, beside its own changes. */
	MUST(pwrite(file, "written", 7, 4 * 4096 + 10) == 7);
	MUST(memcmp(map + 4 * 4096 + 9, "ewrittene", 9) == 0);
	MUST(msync(map, BYTES, MS_SYNC) == 0);
	/* A page that was written back is changed again. */
	map[4 * 4096] = '!';
	MUST(pread(file, block, 20, 4 * 4096) == 20 && memcmp(block, "!eeeeeeeeewrittene", 18) == 0);
	/* What is cut off is gone, even when the file grows again. */
	MUST(ftruncate(file, 4 * 4096 + 12) == 0 && ftruncate(file, BYTES) == 0);
	MUST(memcmp(map + 4 * 4096 + 9, "ewr\0\0", 5) == 0 && map[6 * 4096] == 0 && map[BYTES - 4096] == 0);
	map[BYTES - 1] = 'z';
	MUST(fsync(file) == 0 && munmap(map, BYTES) == 0 && close(file) == 0);
	return 0;
}
