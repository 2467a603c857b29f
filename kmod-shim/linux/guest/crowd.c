// SPDX-License-Identifier: BSD-3-Clause
/*
 * Many at once: `crowd FOLDER WORKERS OPERATIONS SEED` starts workers that do random things, each in its own file and folder and
 * in its own pages of a file that all share, and know what must be there. With `check` as a further argument, it only compares
 * with what the same seed has left. It ends with 0, or prints what is wrong.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "must.h"

#define PAGE 4096
#define OWN_BYTES (200 << 10)
#define SHARED_PAGES 12
#define NAMES 48

struct worker {
	uint64_t random;
	int number, workers;
	bool only_checks;
	int own, shared;
	char own_bytes[OWN_BYTES];
	int own_length;
	char shared_fill[SHARED_PAGES];
	bool has_name[NAMES];
};

static unsigned int below(struct worker *worker, unsigned int limit)
{
	worker->random ^= worker->random << 13;
	worker->random ^= worker->random >> 7;
	worker->random ^= worker->random << 17;
	return (worker->random >> 11) % limit;
}

static off_t shared_place(const struct worker *worker, int page)
{
	return (off_t)(page * worker->workers + worker->number) * PAGE;
}

static const char *name(int number)
{
	static char names[2][32];
	static int turn;

	turn = !turn;
	snprintf(names[turn], sizeof(names[turn]), "name %d", number);
	return names[turn];
}

static int write_own(struct worker *worker)
{
	int offset = below(worker, OWN_BYTES - 1), length = 1 + below(worker, below(worker, 4) ? 3000 : OWN_BYTES / 2);
	char fill = 'a' + below(worker, 26);

	if (length > OWN_BYTES - offset)
		length = OWN_BYTES - offset;
	/* Half of it is text that compresses, half isn't. */
	for (int i = 0; i < length; i++)
		worker->own_bytes[offset + i] = i % 2 ? fill : (char)(fill ^ (i * 31 >> 3));
	if (offset + length > worker->own_length)
		worker->own_length = offset + length;
	MUST(worker->only_checks || pwrite(worker->own, worker->own_bytes + offset, length, offset) == length);
	return 0;
}

static int truncate_own(struct worker *worker)
{
	int length = below(worker, OWN_BYTES);

	if (length < worker->own_length)
		memset(worker->own_bytes + length, 0, worker->own_length - length);
	worker->own_length = length;
	MUST(worker->only_checks || ftruncate(worker->own, length) == 0);
	return 0;
}

static int read_own(struct worker *worker, int offset, int most)
{
	static char bytes[OWN_BYTES];
	int length = worker->own_length > offset ? worker->own_length - offset : 0;

	if (length > most)
		length = most;
	MUST(pread(worker->own, bytes, most, offset) == length);
	MUST(memcmp(bytes, worker->own_bytes + offset, length) == 0);
	return 0;
}

static int write_shared(struct worker *worker)
{
	int page = below(worker, SHARED_PAGES);
	char bytes[PAGE];

	worker->shared_fill[page] = 1 + below(worker, 120);
	memset(bytes, worker->shared_fill[page], PAGE);
	MUST(worker->only_checks || pwrite(worker->shared, bytes, PAGE, shared_place(worker, page)) == PAGE);
	return 0;
}

static int read_shared(struct worker *worker, int page)
{
	char bytes[PAGE], expected[PAGE];
	ssize_t length = pread(worker->shared, bytes, PAGE, shared_place(worker, page));

	memset(expected, worker->shared_fill[page], PAGE);
	/* A page that was never written is a hole, or beyond the end. */
	MUST(length == PAGE || (worker->shared_fill[page] == 0 && length >= 0));
	MUST(memcmp(bytes, expected, length) == 0);
	return 0;
}

static int change_name(struct worker *worker)
{
	int one = below(worker, NAMES), other = below(worker, NAMES);
	bool had = worker->has_name[one];

	if (had && below(worker, 2)) {
		worker->has_name[one] = false;
		worker->has_name[other] = true;
		MUST(worker->only_checks || rename(name(one), name(other)) == 0);
		return 0;
	}
	worker->has_name[one] = !had;
	if (worker->only_checks)
		return 0;
	if (had) {
		MUST(unlink(name(one)) == 0);
	} else {
		int file = open(name(one), O_WRONLY | O_CREAT | O_EXCL, 0600);

		MUST(file >= 0 && write(file, "content", 7) == 7 && close(file) == 0);
	}
	return 0;
}

static int check_name(struct worker *worker, int number)
{
	struct stat stat_;
	int found = stat(name(number), &stat_);

	MUST(worker->has_name[number] ? found == 0 && stat_.st_size == 7 : found == -1 && errno == ENOENT);
	return 0;
}

static int forget(struct worker *worker)
{
	(void)posix_fadvise(worker->own, 0, 0, POSIX_FADV_DONTNEED);
	(void)posix_fadvise(worker->shared, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}

static int operate(struct worker *worker)
{
	unsigned int choice = below(worker, 64), number = below(worker, NAMES), offset = below(worker, OWN_BYTES);

	if (choice < 14)
		return write_own(worker);
	if (choice < 16)
		return truncate_own(worker);
	if (choice < 28)
		return write_shared(worker);
	if (choice < 44)
		return change_name(worker);
	if (worker->only_checks)
		return 0;
	if (choice < 50)
		return read_own(worker, offset, OWN_BYTES - offset);
	if (choice < 54)
		return read_shared(worker, number % SHARED_PAGES);
	if (choice < 60)
		return check_name(worker, number);
	if (choice < 63)
		return forget(worker);
	MUST(fsync(choice % 2 ? worker->own : worker->shared) == 0);
	return 0;
}

static int compare(struct worker *worker)
{
	int wrong = forget(worker) || read_own(worker, 0, OWN_BYTES);

	for (int page = 0; page < SHARED_PAGES && !wrong; page++)
		wrong = read_shared(worker, page);
	for (int number = 0; number < NAMES && !wrong; number++)
		wrong = check_name(worker, number);
	return wrong;
}

static int work(int number, int workers, int operations, uint64_t seed, bool only_checks)
{
	static struct worker worker;
	int mode = only_checks ? O_RDONLY : O_RDWR | O_CREAT;
	char folder[16];

	worker.random = (seed * 2654435761u + number + 1) * 0x9e3779b97f4a7c15u | 1;
	worker.number = number;
	worker.workers = workers;
	worker.only_checks = only_checks;
	snprintf(folder, sizeof(folder), "%d", number);
	MUST((only_checks || mkdir(folder, 0700) == 0) && (worker.shared = open("shared", mode, 0600)) >= 0);
	MUST(chdir(folder) == 0 && (worker.own = open("own", mode, 0600)) >= 0);
	for (int i = 0; i < operations; i++)
		if (operate(&worker)) {
			fprintf(stderr, "worker %d, operation %d: %s\n", number, i, strerror(errno));
			return 1;
		}
	return compare(&worker);
}

int main(int count, char **arguments)
{
	int workers, operations, status, wrong = 0;
	bool only_checks = count == 6 && !strcmp(arguments[5], "check");

	MUST((count == 5 || only_checks) && chdir(arguments[1]) == 0);
	workers = atoi(arguments[2]);
	operations = atoi(arguments[3]);
	for (int number = 0; number < workers; number++) {
		pid_t pid = fork();

		MUST(pid >= 0);
		if (pid == 0)
			_exit(work(number, workers, operations, strtoull(arguments[4], NULL, 10), only_checks));
	}
	while (wait(&status) > 0)
		wrong |= status;
	return wrong != 0;
}
