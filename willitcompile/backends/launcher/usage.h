/*
 * How much of the machine the container uses. Nothing that runs in it can make the cgroup's numbers wrong. What stands in
 * where there are none can be deceived: shared memory that is mapped but not resident is nobody's.
 */

#pragma once

#include <asm/statfs.h>
#include <linux/magic.h>

#include "system.h"

/* The start of a file as text in scratch, empty where it cannot be read. */
static const char *text_of(const char *path)
{
    size_t used = 0;
    long file = SYS(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        long count;
        while (used + 1 < sizeof scratch && (count = SYS(read, file, scratch + used, sizeof scratch - 1 - used)) > 0)
            used += count;
        SYS(close, file);
    }
    scratch[used] = 0;
    return scratch;
}

/* Add the number in the line that starts with this name; whether there is such a line. */
static bool add_field(const char *text, const char *name, uint64_t *sum)
{
    for (; *text; text++) {
        if (starts_with(text, name)) {
            *sum += number_at(text + length(name));
            return true;
        }
        while (*text && *text != '\n')
            text++;
        if (!*text)
            break;
    }
    return false;
}

struct usage {
    uint64_t memory_bytes, threads;
};

/* By /proc, for where no cgroup tells: every process but this one, until there are more than the most threads. */
static void look_at_processes(struct usage *usage, uint64_t most)
{
    static char entries[32768];
    uint64_t kibibytes = 0;
    long directory = SYS(openat, AT_FDCWD, "/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long count;
    while (directory >= 0 && (count = SYS(getdents64, directory, entries, sizeof entries)) > 0) {
        /* struct linux_dirent64: u64 inode, s64 offset, u16 size, u8 type, name. */
        for (long at = 0; at < count; at += *(uint16_t *)(entries + at + 16)) {
            const char *name = entries + at + 19;
            if (number_at(name) < 2)
                continue;
            char path[64];
            struct text text = {path, sizeof path, 0};
            add(&text, "/proc/");
            add(&text, name);
            add(&text, "/status");
            /* It starts with "Name:\t" and up to 15 bytes of the process's choice, which not every kernel escapes. */
            const char *status = text_of(path);
            for (int i = 0; i < 21 && *status; i++)
                status++;
            add_field(status, "Threads:", &usage->threads);
            if (add_field(status, "RssAnon:", &kibibytes))
                add_field(status, "RssShmem:", &kibibytes);
            else
                add_field(status, "VmRSS:", &kibibytes);
        }
        if (usage->threads > most)
            break;
    }
    SYS(close, directory);
    usage->memory_bytes = kibibytes * 1024;
    struct statfs room;
    /* On a disk others write, too. */
    if (SYS(statfs, ".", &room) == 0 && room.f_type == TMPFS_MAGIC)
        usage->memory_bytes += (room.f_blocks - room.f_bfree) * room.f_bsize;
}

/* What is in use and no file on a disk backs. The kernel counts it for a container in its cgroup, if that is to be
 * seen here. (Version 2 has memory.current only below the root, whose numbers are the whole machine's.) */
static struct usage look(uint64_t most)
{
    struct usage usage = {0, 0}, seen = {0, 0};
    const char *text = text_of("/sys/fs/cgroup/memory/memory.stat");
    bool memory = add_field(text, "total_rss ", &usage.memory_bytes) && add_field(text, "total_shmem ", &usage.memory_bytes);
    if (!memory && *text_of("/sys/fs/cgroup/memory.current")) {
        text = text_of("/sys/fs/cgroup/memory.stat");
        memory = add_field(text, "anon ", &usage.memory_bytes) && add_field(text, "shmem ", &usage.memory_bytes);
    }
    bool threads = add_field(text_of("/sys/fs/cgroup/pids/pids.current"), "", &usage.threads) ||
                   add_field(text_of("/sys/fs/cgroup/pids.current"), "", &usage.threads);
    if (!memory || !threads)
        look_at_processes(&seen, most);
    return (struct usage){memory ? usage.memory_bytes : seen.memory_bytes, threads ? usage.threads : seen.threads};
}

static uint64_t oom_kills(void)
{
    uint64_t count = 0;
    if (!add_field(text_of("/sys/fs/cgroup/memory/memory.oom_control"), "oom_kill ", &count))
        add_field(text_of("/sys/fs/cgroup/memory.events"), "oom_kill ", &count);
    return count;
}

static uint64_t process_limit_hits(void)
{
    uint64_t count = 0;
    if (!add_field(text_of("/sys/fs/cgroup/pids/pids.events"), "max ", &count))
        add_field(text_of("/sys/fs/cgroup/pids.events"), "max ", &count);
    return count;
}
