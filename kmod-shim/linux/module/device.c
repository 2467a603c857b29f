// SPDX-License-Identifier: BSD-3-Clause
/* Block devices: opening them, and requests as bios. */
#include "hammer2.h"

#include <linux/bio.h>
#include <linux/blk-cgroup.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/slab.h>

/* How often a device with requests under way is checked when it is to be closed. */
#define DRAIN_STEP_MS 10

static void hammer2_ticket_put(struct hammer2_ticket *ticket, int error)
{
	struct hammer2_device *device = ticket->device;

	if (error)
		WRITE_ONCE(ticket->error, error);
	if (!atomic_dec_and_test(&ticket->bios))
		return;
	smp_store_release(&ticket->status, READ_ONCE(ticket->error));
	hammer2_event(device->mount);
	/* This comes last: a thread that sees 0 may free everything. */
	atomic_dec(&device->in_flight);
}

static void hammer2_bio_done(struct bio *bio)
{
	struct hammer2_ticket *ticket = bio->bi_private;
	int error = blk_status_to_errno(bio->bi_status);

	bio_put(bio);
	hammer2_ticket_put(ticket, error);
}

/*
 * The thread inside submits for all: no request of one may wait for the limits of another's group of processes.
 */
static void hammer2_bio_belongs_to_all(struct bio *bio)
{
#ifdef CONFIG_BLK_CGROUP
	bio_associate_blkg_from_css(bio, blkcg_root_css);
#endif
}

/* Submits as much of the request as one bio holds; returns how much that is. */
static size_t hammer2_bio_submit(struct hammer2_ticket *ticket, blk_opf_t op, u64 offset, void *bytes, size_t length)
{
	unsigned int pages = min_t(size_t, DIV_ROUND_UP(length, PAGE_SIZE), BIO_MAX_VECS);
	struct bio *bio = bio_alloc(hammer2_bdev_of(ticket->device->handle), pages, op, GFP_NOIO);
	size_t done = 0;

	bio->bi_iter.bi_sector = offset >> SECTOR_SHIFT;
	bio->bi_private = ticket;
	bio->bi_end_io = hammer2_bio_done;
	hammer2_bio_belongs_to_all(bio);
	/* Buffers of the core begin at a page boundary. */
	while (done < length) {
		struct page *page = is_vmalloc_addr(bytes + done) ? vmalloc_to_page(bytes + done) : virt_to_page(bytes + done);
		unsigned int count = min_t(size_t, length - done, PAGE_SIZE);

		if (bio_add_page(bio, page, count, 0) != count)
			break;
		done += count;
	}
	atomic_inc(&ticket->bios);
	submit_bio(bio);
	return done;
}

/* The last bio of a discard ends when the earlier ones have. */
static void hammer2_discard_submit(struct hammer2_ticket *ticket, u64 offset, u64 length)
{
	struct bio *bio = NULL;
	int error = __blkdev_issue_discard(hammer2_bdev_of(ticket->device->handle), offset >> SECTOR_SHIFT, length >> SECTOR_SHIFT,
					   GFP_NOIO, &bio);

	if (error)
		WRITE_ONCE(ticket->error, error);
	if (!bio)
		return;
	bio->bi_private = ticket;
	bio->bi_end_io = hammer2_bio_done;
	atomic_inc(&ticket->bios);
	submit_bio(bio);
}

void hammer2_host_submit(void *argument, u32 index, u32 op, u64 offset, void *buffer, u64 length)
{
	static const blk_opf_t ops[] = {
		[HAMMER2_DEVICE_READ] = REQ_OP_READ,
		[HAMMER2_DEVICE_WRITE] = REQ_OP_WRITE | REQ_SYNC | REQ_IDLE,
		[HAMMER2_DEVICE_FLUSH] = REQ_OP_WRITE | REQ_PREFLUSH | REQ_SYNC,
	};
	struct hammer2_device *device = argument;
	struct hammer2_ticket *ticket = &device->tickets[index];
	size_t done = 0;

	ticket->error = 0;
	atomic_set(&ticket->bios, 1);
	WRITE_ONCE(ticket->status, HAMMER2_UNDER_WAY);
	atomic_inc(&device->in_flight);
	if (!device->handle)
		WRITE_ONCE(ticket->error, -ENODEV);
	else if (op == HAMMER2_DEVICE_FLUSH)
		hammer2_bio_submit(ticket, ops[op], 0, NULL, 0);
	else if (op == HAMMER2_DEVICE_DISCARD)
		hammer2_discard_submit(ticket, offset, length);
	else
		while (done < length)
			done += hammer2_bio_submit(ticket, ops[op], offset + done, buffer + done, length - done);
	hammer2_ticket_put(ticket, 0);
}

s32 hammer2_host_status(void *argument, u32 index)
{
	struct hammer2_device *device = argument;

	return smp_load_acquire(&device->tickets[index].status);
}

u64 hammer2_host_size(void *argument)
{
	struct hammer2_device *device = argument;

	return device->handle ? bdev_nr_bytes(hammer2_bdev_of(device->handle)) : 0;
}

static bool hammer2_device_drain(struct hammer2_device *device, unsigned int patience_ms)
{
	unsigned long end = jiffies + msecs_to_jiffies(patience_ms);

	while (atomic_read(&device->in_flight) && time_before(jiffies, end))
		msleep(DRAIN_STEP_MS);
	return !atomic_read(&device->in_flight);
}

/* Whether the device has given back everything; a hanging device isn't waited for for ever. */
u32 hammer2_host_drain(void *argument)
{
	return hammer2_device_drain(argument, HAMMER2_PATIENCE_MS);
}

void hammer2_host_abandon(void *argument, void *site)
{
	struct hammer2_mount *mount = argument;

	mount->site = site;
}

static int hammer2_device_open(struct hammer2_device *device)
{
	bool is_writable = device->mount->is_writable;
	hammer2_bdev_handle handle = hammer2_bdev_open(device->path, is_writable, device->mount);

	if (IS_ERR(handle))
		return PTR_ERR(handle);
	device->handle = handle;
	return 0;
}

static void hammer2_device_close(struct hammer2_device *device)
{
	if (device->handle)
		hammer2_bdev_close(device->handle, device->mount->is_writable);
	device->handle = NULL;
}

/*
 * A disk that was pulled out and comes back is another device, and only gets the name of the old one if nobody holds that. So the
 * old one is released first. What a path leads to depends on the process: the mount's thread opens it, with the view of process
 * 1.
 */
s32 hammer2_host_reopen(void *argument)
{
	struct hammer2_device *device = argument;

	if (!hammer2_run_is_thread(device->mount))
		return -EAGAIN;
	hammer2_device_close(device);
	return hammer2_device_open(device);
}

/* Adds the device of this path as a volume of a node. */
static int hammer2_device_add(struct hammer2_mount *mount, const char *path, u32 node)
{
	u64 number = mount->config.device_count;
	struct hammer2_device *device = &mount->devices[number];
	struct hammer2_device_config *config = &mount->device_configs[number];
	int i;

	if (number == HAMMER2_MAX_DEVICES) {
		pr_err("more than %d disks\n", HAMMER2_MAX_DEVICES);
		return -E2BIG;
	}
	device->mount = mount;
	device->path = path;
	for (i = 0; i < HAMMER2_QUEUE_DEPTH; i++)
		device->tickets[i].device = device;
	config->device = device;
	config->name.bytes = path;
	config->name.length = strlen(path);
	config->node = node;
	config->is_read_only = !mount->is_writable;
	mount->config.device_count++;
	return hammer2_device_open(device);
}

/* Opens NODE[+NODE...][@LABEL], where NODE is DEVICE[:DEVICE...]. With several nodes, some may be missing. */
int hammer2_devices_open(struct hammer2_mount *mount, const char *source)
{
	char *rest, *node, *path, *label;
	bool has_several;
	u32 nodes = 0;
	int error = 0;

	mount->source = kstrdup(source, GFP_KERNEL);
	rest = kstrdup(source, GFP_KERNEL);
	mount->devices = kcalloc(HAMMER2_MAX_DEVICES, sizeof(*mount->devices), GFP_KERNEL);
	/* The names of the devices and the label are parts of it. */
	mount->names = rest;
	if (!mount->source || !rest || !mount->devices)
		return -ENOMEM;
	label = strrchr(rest, '@');
	if (label) {
		*label++ = 0;
		mount->config.label.bytes = label;
		mount->config.label.length = strlen(label);
	}
	has_several = strchr(rest, '+');
	while ((node = strsep(&rest, "+"))) {
		while ((path = strsep(&node, ":"))) {
			u64 number = mount->config.device_count;

			error = hammer2_device_add(mount, path, nodes);
			if (error == -E2BIG || (error && !has_several))
				goto failed;
			if (error)
				pr_warn("%s: it can't be opened (error %d); the others may be enough\n", path, -error);
			mount->device_configs[number].size_bytes = hammer2_host_size(&mount->devices[number]);
		}
		nodes++;
	}
	mount->config.devices = mount->device_configs;
	mount->config.queue_depth = HAMMER2_QUEUE_DEPTH;
	mount->config.is_writable = mount->is_writable;
	return 0;
failed:
	pr_err("%s: it can't be opened (error %d)\n", path, -error);
	return error;
}

/* Closes all devices without requests under way; false if some are left. */
bool hammer2_devices_close(struct hammer2_mount *mount, unsigned int patience_ms)
{
	bool all = true;
	u64 i;

	for (i = 0; mount->devices && i < mount->config.device_count; i++) {
		if (hammer2_device_drain(&mount->devices[i], patience_ms))
			hammer2_device_close(&mount->devices[i]);
		else
			all = false;
	}
	return all;
}
