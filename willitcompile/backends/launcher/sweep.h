/*
 * Removing whatever a compile may have left. No link is followed and nothing is called for each depth: what is not
 * empty is moved up first, so that a tree of any depth is flat before it is removed. There is no need of room either.
 */

#pragma once

#include "output.h"

/* Remove one; -ENOTEMPTY for a directory that is not empty. */
static long remove_entry(long directory, const struct entry *entry)
{
    long error = entry->kind == DIRECTORY ? -EISDIR : SYS(unlinkat, directory, entry->name, 0);
    if (error == -EISDIR)
        error = SYS(unlinkat, directory, entry->name, AT_REMOVEDIR);
    return error == -EEXIST ? -ENOTEMPTY : error;
}

/* Move a directory up to `top`, under a name that nothing else there has. */
static long move_up(long top, long directory, const char *name)
{
    static uint64_t number;
    char bytes[24];
    long error;
    SYS(fchmodat, directory, name, 0700); /* or it cannot be moved */
    do {
        struct text text = {bytes, sizeof bytes, 0};
        add_number(&text, number++);
        error = SYS(renameat2, directory, name, top, bytes, 0);
    } while (error == -ENOTEMPTY || error == -EEXIST || error == -ENOTDIR);
    return error;
}

/* Remove a directory in `top`. What is in it and cannot be removed yet goes up. How much was done is added. */
static long dissolve(long top, const struct entry *entry, uint64_t *done)
{
    SYS(fchmodat, top, entry->name, 0700);
    long directory = SYS(openat, top, entry->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (directory < 0)
        return directory;
    long worst = 0, count;
    while ((count = SYS(getdents64, directory, scratch, sizeof scratch)) > 0) {
        heed_signals();
        for (long at = 0; at < count;) {
            struct entry *found = (struct entry *)(scratch + at);
            at += found->size;
            if (is_dots(found->name))
                continue;
            long error = remove_entry(directory, found);
            if (error == -ENOTEMPTY)
                error = move_up(top, directory, found->name);
            if (error < 0)
                worst = error;
            else
                ++*done;
        }
    }
    SYS(close, directory);
    long error = SYS(unlinkat, top, entry->name, AT_REMOVEDIR);
    if (error == 0)
        ++*done;
    return worst ? worst : error;
}

/* Remove everything in a directory but what has this name. Where there is no such directory it is clean. */
static long sweep(const char *path, const char *spared)
{
    static char list[16384];
    SYS(fchmodat, AT_FDCWD, path, 0700); /* where it is ours */
    long top = SYS(openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), worst;
    if (top < 0)
        return top == -ENOENT || top == -ENOTDIR ? 0 : top;
    uint64_t done;
    /* Again while it helps: what was moved up comes next, and what is removed may make room for what could not be. */
    do {
        long count;
        worst = done = 0;
        SYS(lseek, top, 0, 0 /* from the start */);
        while ((count = SYS(getdents64, top, list, sizeof list)) > 0) {
            heed_signals();
            for (long at = 0; at < count;) {
                struct entry *found = (struct entry *)(list + at);
                at += found->size;
                if (is_dots(found->name) || same(found->name, spared))
                    continue;
                long error = remove_entry(top, found);
                if (error == -ENOTEMPTY)
                    error = dissolve(top, found, &done);
                else if (error == 0)
                    done++;
                if (error < 0)
                    worst = error;
            }
        }
        if (count < 0)
            worst = count;
    } while (done);
    SYS(close, top);
    return worst;
}
