// SPDX-License-Identifier: BSD-3-Clause
/* Names: looking up, making, removing and moving them. */
#include "hammer2.h"

#include <linux/slab.h>

static struct dentry *hammer2_lookup(struct inode *directory, struct dentry *dentry, unsigned int flags)
{
	u32 op = xchg(&hammer2_provoke_panic, false) ? HAMMER2_PANIC : HAMMER2_LOOKUP;
	struct hammer2_call *call = hammer2_call_new(op, directory->i_ino);
	struct inode *inode = NULL;
	s64 result;

	if (!call)
		return ERR_PTR(-ENOMEM);
	hammer2_call_name(call, dentry);
	result = hammer2_call_wait(hammer2_mount_of(directory->i_sb), call);
	if (!result)
		inode = hammer2_inode_get(directory->i_sb, &call->request.attributes);
	else if (result != -ENOENT)
		inode = ERR_PTR(result);
	kfree(call);
	return d_splice_alias(inode, dentry);
}

/* Makes a file of a kind; target is that of a symbolic link. */
static int hammer2_make(struct inode *directory, struct dentry *dentry, u32 kind, umode_t mode, dev_t device, const char *target)
{
	struct hammer2_call *call = hammer2_call_new(HAMMER2_CREATE, directory->i_ino);
	struct inode *inode;
	s64 result;

	if (!call)
		return -ENOMEM;
	hammer2_call_name(call, dentry);
	call->request.attributes = (struct hammer2_attributes){
		.kind = kind,
		.mode = mode & 07777,
		.uid = from_kuid(&init_user_ns, current_fsuid()),
		.gid = from_kgid(&init_user_ns, current_fsgid()),
		.major = MAJOR(device),
		.minor = MINOR(device),
	};
	if (target) {
		call->request.other_name.bytes = target;
		call->request.other_name.length = strlen(target);
	}
	hammer2_call_refresh(call, 0, directory);
	result = hammer2_call_wait(hammer2_mount_of(directory->i_sb), call);
	if (!result) {
		hammer2_call_refreshed(call, 0, directory);
		inode = hammer2_inode_get(directory->i_sb, &call->request.attributes);
		result = PTR_ERR_OR_ZERO(inode);
		/* The file is there, and its name is looked up again. */
		if (result)
			d_drop(dentry);
		else
			d_instantiate(dentry, inode);
	}
	kfree(call);
	return result;
}

static int hammer2_create(hammer2_idmap *idmap, struct inode *directory, struct dentry *dentry, umode_t mode, bool is_exclusive)
{
	return hammer2_make(directory, dentry, HAMMER2_KIND_REGULAR, mode, 0, NULL);
}

static int hammer2_mkdir(hammer2_idmap *idmap, struct inode *directory, struct dentry *dentry, umode_t mode)
{
	return hammer2_make(directory, dentry, HAMMER2_KIND_DIRECTORY, mode, 0, NULL);
}

static int hammer2_symlink(hammer2_idmap *idmap, struct inode *directory, struct dentry *dentry, const char *target)
{
	return hammer2_make(directory, dentry, HAMMER2_KIND_SYMLINK, 0777, 0, target);
}

static int hammer2_mknod(hammer2_idmap *idmap, struct inode *directory, struct dentry *dentry, umode_t mode, dev_t device)
{
	u32 kind;

	switch (mode & S_IFMT) {
	case S_IFREG:
		kind = HAMMER2_KIND_REGULAR;
		break;
	case S_IFIFO:
		kind = HAMMER2_KIND_FIFO;
		break;
	case S_IFCHR:
		kind = HAMMER2_KIND_CHAR_DEVICE;
		break;
	case S_IFBLK:
		kind = HAMMER2_KIND_BLOCK_DEVICE;
		break;
	case S_IFSOCK:
		kind = HAMMER2_KIND_SOCKET;
		break;
	default:
		return -EINVAL;
	}
	return hammer2_make(directory, dentry, kind, mode, device, NULL);
}

static int hammer2_link(struct dentry *old, struct inode *directory, struct dentry *dentry)
{
	struct inode *inode = d_inode(old);
	struct hammer2_call *call = hammer2_call_new(HAMMER2_LINK, directory->i_ino);
	s64 result;

	if (!call)
		return -ENOMEM;
	hammer2_call_name(call, dentry);
	call->request.other = inode->i_ino;
	hammer2_call_refresh(call, 0, directory);
	hammer2_call_refresh(call, 1, inode);
	result = hammer2_call_wait(hammer2_mount_of(directory->i_sb), call);
	if (!result) {
		hammer2_call_refreshed(call, 0, directory);
		hammer2_call_refreshed(call, 1, inode);
		ihold(inode);
		d_instantiate(dentry, inode);
	}
	kfree(call);
	return result;
}

/* True if this file loses its last name while its content may be in use. */
static bool hammer2_must_be_kept(const struct inode *inode)
{
	return S_ISREG(inode->i_mode) && inode->i_nlink == 1;
}

static int hammer2_remove(struct inode *directory, struct dentry *dentry, u32 op)
{
	struct inode *inode = d_inode(dentry);
	struct hammer2_call *call = hammer2_call_new(op, directory->i_ino);
	s64 result;

	if (!call)
		return -ENOMEM;
	hammer2_call_name(call, dentry);
	call->request.kept = hammer2_must_be_kept(inode) ? inode->i_ino : 0;
	hammer2_call_refresh(call, 0, directory);
	hammer2_call_refresh(call, 1, inode);
	result = hammer2_call_wait(hammer2_mount_of(directory->i_sb), call);
	if (!result) {
		hammer2_call_refreshed(call, 0, directory);
		hammer2_call_refreshed(call, 1, inode);
		if (call->request.kept)
			hammer2_inode_keep(inode);
	}
	kfree(call);
	return result;
}

static int hammer2_unlink(struct inode *directory, struct dentry *dentry)
{
	return hammer2_remove(directory, dentry, HAMMER2_UNLINK);
}

static int hammer2_rmdir(struct inode *directory, struct dentry *dentry)
{
	return hammer2_remove(directory, dentry, HAMMER2_RMDIR);
}

static int hammer2_rename(hammer2_idmap *idmap, struct inode *from, struct dentry *old, struct inode *to, struct dentry *new,
			  unsigned int flags)
{
	struct inode *moved = d_inode(old);
	struct inode *replaced = d_inode(new);
	struct hammer2_call *call;
	s64 result;

	if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	call = hammer2_call_new(flags & RENAME_EXCHANGE ? HAMMER2_EXCHANGE : HAMMER2_RENAME, from->i_ino);
	if (!call)
		return -ENOMEM;
	hammer2_call_name(call, old);
	call->request.flags = flags & RENAME_NOREPLACE ? HAMMER2_NO_REPLACE : 0;
	call->request.other = to->i_ino;
	call->request.other_name.bytes = new->d_name.name;
	call->request.other_name.length = new->d_name.len;
	if (replaced && !(flags & RENAME_EXCHANGE) && hammer2_must_be_kept(replaced))
		call->request.kept = replaced->i_ino;
	hammer2_call_refresh(call, 0, from);
	hammer2_call_refresh(call, 1, to);
	hammer2_call_refresh(call, 2, moved);
	if (replaced)
		hammer2_call_refresh(call, 3, replaced);
	result = hammer2_call_wait(hammer2_mount_of(from->i_sb), call);
	if (!result) {
		hammer2_call_refreshed(call, 0, from);
		hammer2_call_refreshed(call, 1, to);
		hammer2_call_refreshed(call, 2, moved);
		if (replaced)
			hammer2_call_refreshed(call, 3, replaced);
		if (call->request.kept)
			hammer2_inode_keep(replaced);
	}
	kfree(call);
	return result;
}

const struct inode_operations hammer2_directory_inode_operations = {
	.lookup = hammer2_lookup,
	.create = hammer2_create,
	.mkdir = hammer2_mkdir,
	.symlink = hammer2_symlink,
	.mknod = hammer2_mknod,
	.link = hammer2_link,
	.unlink = hammer2_unlink,
	.rmdir = hammer2_rmdir,
	.rename = hammer2_rename,
	.setattr = hammer2_setattr,
};
