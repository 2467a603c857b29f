// SPDX-License-Identifier: BSD-3-Clause
/* Inodes: the attributes of files, and changing them. */
#include "hammer2.h"

#include <linux/mm.h>
#include <linux/slab.h>

static struct timespec64 hammer2_time(u64 microseconds)
{
	return (struct timespec64){ .tv_sec = microseconds / USEC_PER_SEC,
				    .tv_nsec = microseconds % USEC_PER_SEC * NSEC_PER_USEC };
}

/* The format has no time before 1970. */
static u64 hammer2_microseconds(struct timespec64 time)
{
	return time.tv_sec < 0 ? 0 : time.tv_sec * USEC_PER_SEC + time.tv_nsec / NSEC_PER_USEC;
}

/* Copies the attributes of a file to its inode; for a regular file, under its lock. */
void hammer2_inode_fill(struct inode *inode, const struct hammer2_attributes *attributes)
{
	inode->i_mode = (inode->i_mode & S_IFMT) | (attributes->mode & 07777);
	i_uid_write(inode, attributes->uid);
	i_gid_write(inode, attributes->gid);
	set_nlink(inode, attributes->links);
	i_size_write(inode, attributes->size);
	inode->i_blocks = DIV_ROUND_UP(attributes->stored_bytes, 512);
	hammer2_set_atime(inode, hammer2_time(attributes->atime_us));
	hammer2_set_mtime(inode, hammer2_time(attributes->mtime_us));
	hammer2_set_ctime(inode, hammer2_time(attributes->ctime_us));
}

static umode_t hammer2_type_of(u32 kind)
{
	switch (kind) {
	case HAMMER2_KIND_DIRECTORY:
		return S_IFDIR;
	case HAMMER2_KIND_REGULAR:
		return S_IFREG;
	case HAMMER2_KIND_FIFO:
		return S_IFIFO;
	case HAMMER2_KIND_CHAR_DEVICE:
	case HAMMER2_KIND_WHITEOUT:	/* Linux has no other name for it than device 0. */
		return S_IFCHR;
	case HAMMER2_KIND_BLOCK_DEVICE:
		return S_IFBLK;
	case HAMMER2_KIND_SYMLINK:
		return S_IFLNK;
	case HAMMER2_KIND_SOCKET:
		return S_IFSOCK;
	default:
		return 0;
	}
}

/* The inode with these attributes. */
struct inode *hammer2_inode_get(struct super_block *sb, const struct hammer2_attributes *attributes)
{
	umode_t type = hammer2_type_of(attributes->kind);
	struct inode *inode;

	if (!type)
		return ERR_PTR(-EIO);
	inode = iget_locked(sb, attributes->inum);
	if (!inode)
		return ERR_PTR(-ENOMEM);
	if (!(inode->i_state & I_NEW))
		return inode;
	inode->i_mode = type;
	inode->i_flags |= S_NOATIME | S_NOCMTIME;
	hammer2_inode_fill(inode, attributes);
	switch (type) {
	case S_IFDIR:
		inode->i_op = &hammer2_directory_inode_operations;
		inode->i_fop = &hammer2_directory_operations;
		break;
	case S_IFREG:
		inode->i_op = &hammer2_file_inode_operations;
		inode->i_fop = &hammer2_file_operations;
		inode->i_mapping->a_ops = &hammer2_address_space_operations;
		break;
	case S_IFLNK:
		inode->i_op = &page_symlink_inode_operations;
		inode_nohighmem(inode);
		inode->i_mapping->a_ops = &hammer2_address_space_operations;
		break;
	default:
		inode->i_op = &hammer2_file_inode_operations;
		init_special_inode(inode, inode->i_mode, MKDEV(attributes->major, attributes->minor));
	}
	unlock_new_inode(inode);
	return inode;
}

/* Makes the core keep a file that has lost its last name until the kernel releases it. */
void hammer2_inode_keep(struct inode *inode)
{
	inode->i_private = inode;
}

static void hammer2_released(struct hammer2_call *call)
{
	if (call->request.result)
		pr_warn("inode %llu has no name, and can't be removed (error %lld): the next mount tries again\n", call->request.inum,
			-call->request.result);
	kfree(call);
}

void hammer2_inode_evict(struct inode *inode)
{
	struct hammer2_call *call;

	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	if (!inode->i_private)
		return;
	/* Nobody waits for the answer, as this may be called while memory is being freed. */
	call = hammer2_call_new(HAMMER2_RELEASE, inode->i_ino);
	call->done = hammer2_released;
	hammer2_call_send(hammer2_mount_of(inode->i_sb), call);
}

/* Makes the answer include this inode, too. */
void hammer2_call_refresh(struct hammer2_call *call, int index, struct inode *inode)
{
	call->request.refreshed[index].inum = inode->i_ino;
}

/* Takes over the attributes in the answer; of an inode that is gone, only that fact. */
void hammer2_call_refreshed(struct hammer2_call *call, int index, struct inode *inode)
{
	const struct hammer2_attributes *attributes = &call->request.refreshed[index];

	if (attributes->inum)
		hammer2_inode_fill(inode, attributes);
	else
		clear_nlink(inode);
}

static void hammer2_setattr_request(struct hammer2_request *request, const struct iattr *attr)
{
	struct hammer2_attributes *asked = &request->attributes;

	if (attr->ia_valid & ATTR_MODE) {
		request->set |= HAMMER2_SET_MODE;
		asked->mode = attr->ia_mode & 07777;
	}
	if (attr->ia_valid & ATTR_UID) {
		request->set |= HAMMER2_SET_UID;
		asked->uid = from_kuid(&init_user_ns, attr->ia_uid);
	}
	if (attr->ia_valid & ATTR_GID) {
		request->set |= HAMMER2_SET_GID;
		asked->gid = from_kgid(&init_user_ns, attr->ia_gid);
	}
	if (attr->ia_valid & ATTR_SIZE) {
		request->set |= HAMMER2_SET_SIZE;
		asked->size = attr->ia_size;
	}
	if (attr->ia_valid & ATTR_ATIME) {
		request->set |= HAMMER2_SET_ATIME;
		asked->atime_us = hammer2_microseconds(attr->ia_atime);
	}
	if (attr->ia_valid & ATTR_MTIME) {
		request->set |= HAMMER2_SET_MTIME;
		asked->mtime_us = hammer2_microseconds(attr->ia_mtime);
	}
}

int hammer2_setattr(hammer2_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	bool cuts = (attr->ia_valid & ATTR_SIZE) && attr->ia_size < i_size_read(inode);
	loff_t size = i_size_read(inode);
	struct hammer2_call *call;
	s64 result;

	result = setattr_prepare(idmap, dentry, attr);
	if (result)
		return result;
	call = hammer2_call_new(HAMMER2_SETATTR, inode->i_ino);
	if (!call)
		return -ENOMEM;
	hammer2_setattr_request(&call->request, attr);
	hammer2_call_refresh(call, 0, inode);
	if (attr->ia_valid & ATTR_SIZE)
		filemap_invalidate_lock(inode->i_mapping);
	/* Pages beyond the new end go first: one that is written back later would make the file longer again. */
	if (cuts)
		truncate_setsize(inode, attr->ia_size);
	result = hammer2_call_wait(hammer2_mount_of(inode->i_sb), call);
	if (result && cuts)
		i_size_write(inode, size);
	else if (!result && (attr->ia_valid & ATTR_SIZE) && !cuts)
		truncate_setsize(inode, attr->ia_size);
	if (!result)
		hammer2_call_refreshed(call, 0, inode);
	if (attr->ia_valid & ATTR_SIZE)
		filemap_invalidate_unlock(inode->i_mapping);
	kfree(call);
	return result;
}
