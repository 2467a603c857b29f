// SPDX-License-Identifier: BSD-3-Clause
/*
 * No waiting thread is forgotten: `waits FOLDER` does things that wait for a device while nothing else happens that would wake a
 * thread, and does them beside a thread that only asks for what is in memory, and so takes the devices' answers away from the
 * threads that wait for them. It ends with 0, or prints what is wrong.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "must.h"

#define BYTES (2 << 20)
#define READS 12
#define SYNCS 60
#define PAUSES 60
#define PAUSE_US 350000

/*
 * Operations that take longer than this are counted: a forgotten thread is only woken by an alarm, which rings once a second, or
 * by another thread that goes inside. On a busy machine a few may take this long.
 */
#define STALL_NS 300000000ll
#define FORGIVEN 3

static char block[BYTES];
static int stalls;
static struct timespec began;

static void begin(void)
{
	clock_gettime(CLOCK_MONOTONIC, &began);
}

static void end(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	stalls += (now.tv_sec - began.tv_sec) * 1000000000ll + now.tv_nsec - began.tv_nsec > STALL_NS;
}

static int conclude(const char *what)
{
	printf("%s: %d stalls\n", what, stalls);
	MUST(stalls <= FORGIVEN);
	stalls = 0;
	return 0;
}

static int read_alone(int file)
{
	for (int round = 0; round < READS; round++) {
		MUST(posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) == 0);
		for (int offset = 0; offset < BYTES; offset += 4096) {
			begin();
			MUST(pread(file, block, 4096, offset) == 4096);
			end();
		}
	}
	return conclude("reading alone");
}

static int sync_once(int file, int number)
{
	begin();
	MUST(pwrite(file, &number, sizeof(number), 4096 * (number % 64)) == sizeof(number) && fsync(file) == 0);
	end();
	return 0;
}

/* Asks for a name that doesn't exist, a different one each time, since the kernel remembers them. */
static void ask(int number)
{
	struct stat found;
	char name[32];

	snprintf(name, sizeof(name), "nothing %d", number);
	(void)stat(name, &found);
}

static int sync_beside_one_who_asks_on_and_on(int file)
{
	pid_t other = fork();

	MUST(other >= 0);
	for (int number = 0; other == 0; number++)
		ask(number);
	for (int number = 0; number < SYNCS; number++)
		MUST(sync_once(file, number) == 0);
	MUST(kill(other, SIGKILL) == 0 && waitpid(other, NULL, 0) == other);
	return conclude("syncing beside one who asks on and on");
}

static int sync_beside_one_who_asks_now_and_then(int file)
{
	pid_t other = fork();

	MUST(other >= 0);
	for (int number = 0; other == 0; number++) {
		if (number == PAUSES)
			_exit(0);
		ask(-1 - number);
		usleep(PAUSE_US);
	}
	for (int number = 0; waitpid(other, NULL, WNOHANG) == 0; number++)
		MUST(sync_once(file, number) == 0);
	return conclude("syncing beside one who asks now and then");
}

int main(int count, char **arguments)
{
	int file;

	MUST(count == 2 && chdir(arguments[1]) == 0 && (file = open("waited for", O_RDWR | O_CREAT | O_TRUNC, 0600)) >= 0);
	for (int i = 0; i < BYTES; i++)
		block[i] = random();
	MUST(write(file, block, BYTES) == BYTES && fsync(file) == 0);
	return read_alone(file) || sync_beside_one_who_asks_on_and_on(file) || sync_beside_one_who_asks_now_and_then(file);
}
