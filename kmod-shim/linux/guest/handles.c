// SPDX-License-Identifier: BSD-3-Clause
/*
 * Opening files by handle, as NFS's server does: `handles MOUNT FOLDER`, with FOLDER below MOUNT, makes some files. In between,
 * the kernel is made to forget them. It ends with 0, or prints what is wrong.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "must.h"

static struct file_handle *handle_of(const char *path)
{
	struct file_handle *handle = calloc(1, sizeof(*handle) + MAX_HANDLE_SZ);
	int mount;

	handle->handle_bytes = MAX_HANDLE_SZ;
	return name_to_handle_at(AT_FDCWD, path, handle, &mount, 0) ? NULL : handle;
}

/* Makes the kernel forget names and inodes that aren't open. */
static int forget(void)
{
	int file;

	sync();
	file = open("/proc/sys/vm/drop_caches", O_WRONLY);
	MUST(file >= 0 && write(file, "3", 1) == 1 && close(file) == 0);
	return 0;
}

int main(int count, char **arguments)
{
	struct file_handle *file_handle, *folder_handle, *gone_handle;
	char link[64], path[320], expected[300], bytes[8];
	int mount, file, folder;

	MUST(count == 3 && (mount = open(arguments[1], O_RDONLY | O_DIRECTORY)) >= 0);
	MUST(mkdir(arguments[2], 0700) == 0 && chdir(arguments[2]) == 0 && getcwd(expected, sizeof(expected) - 10));
	MUST(mkdir("a", 0700) == 0 && mkdir("a/b", 0700) == 0);
	MUST((file = open("a/b/file", O_CREAT | O_WRONLY, 0600)) >= 0 && write(file, "content", 7) == 7 && close(file) == 0);
	MUST((file = open("gone", O_CREAT | O_WRONLY, 0600)) >= 0 && close(file) == 0);
	file_handle = handle_of("a/b/file");
	folder_handle = handle_of("a/b");
	gone_handle = handle_of("gone");
	MUST(file_handle && folder_handle && gone_handle && unlink("gone") == 0 && chdir("/") == 0);

	MUST(forget() == 0);
	MUST((file = open_by_handle_at(mount, file_handle, O_RDWR)) >= 0 && read(file, bytes, 8) == 7 && !memcmp(bytes, "content", 7));
	MUST(pwrite(file, "C", 1, 0) == 1 && close(file) == 0);
	MUST(open_by_handle_at(mount, gone_handle, O_RDONLY) == -1 && errno == ESTALE);

	/* A folder is found together with all those above it. */
	MUST(forget() == 0);
	MUST((folder = open_by_handle_at(mount, folder_handle, O_RDONLY | O_DIRECTORY)) >= 0);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", folder);
	memset(path, 0, sizeof(path));
	MUST(readlink(link, path, sizeof(path) - 1) > 0);
	strcat(expected, "/a/b");
	MUST(!strcmp(path, expected));
	MUST((file = openat(folder, "file", O_RDONLY)) >= 0 && read(file, bytes, 8) == 7 && !memcmp(bytes, "Content", 7));
	MUST(close(file) == 0 && close(folder) == 0);

	/* A file that loses its last name can't be opened by its handle either, even while it is open. */
	snprintf(path, sizeof(path), "%s/file", expected);
	MUST((file = open(path, O_RDONLY)) >= 0 && unlink(path) == 0);
	MUST(open_by_handle_at(mount, file_handle, O_RDONLY) == -1 && errno == ESTALE);
	MUST(close(file) == 0 && close(mount) == 0);
	return 0;
}
