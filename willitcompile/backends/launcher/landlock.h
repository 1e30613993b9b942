/*
 * The kernel's Landlock: a process gives up every file but those named, for itself and its children. Numbers are those
 * of linux/landlock.h, some newer than the headers that this is built with.
 */

#pragma once

#include <linux/limits.h>

#include "system.h"

enum { EXECUTE = 1, WRITE_FILE = 2, READ_FILE = 4, READ_DIRECTORY = 8, TRUNCATE = 1 << 14, IOCTL_DEVICE = 1 << 15 };
enum { ON_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE };

/* Let it be used in this way. What is not there needs no rule. */
static long let(long rules, const char *path, uint64_t rights, bool is_directory)
{
    struct {
        uint64_t rights;
        int32_t directory;
    } __attribute__((packed)) rule = {is_directory ? rights : rights & ON_A_FILE, 0};
    rule.directory = SYS(openat, AT_FDCWD, path, O_PATH | O_CLOEXEC);
    if (rule.directory < 0)
        return rule.directory == -ENOENT ? 0 : rule.directory;
    long error = call(__NR_landlock_add_rule, rules, 1 /* beneath a path */, (long)&rule, 0, 0);
    /* Only a link's own name tells nothing of what it leads to. */
    if (error == -EINVAL && is_directory) {
        rule.rights &= ON_A_FILE;
        error = call(__NR_landlock_add_rule, rules, 1, (long)&rule, 0, 0);
    }
    SYS(close, rule.directory);
    return error;
}

/* What the job is not to see, besides the kernel's own file systems: directories, and a NULL at the end. */
static const char *hidden[64];

static bool is_hidden(const char *path)
{
    for (const char **each = hidden; *each; each++)
        if (same(path, *each))
            return true;
    return same(path, "/proc") || same(path, "/sys") || same(path, "/dev") || same(path, "/run") ||
           same(path, "/etc/hosts") || same(path, "/etc/hostname") || same(path, "/etc/resolv.conf");
}

static bool has_hidden(const char *path)
{
    /* What an engine writes into an image tells where it runs. */
    if (same(path, "/etc"))
        return true;
    for (const char **each = hidden; *each; each++)
        if (starts_with(*each, path) && (*each)[length(path)] == '/')
            return true;
    return false;
}

/* Everything of the image below a directory, but what is hidden. */
static long let_image(long rules, const char *path)
{
    char list[2048], bytes[PATH_MAX];
    long directory = SYS(openat, AT_FDCWD, *path ? path : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), error = 0, count;
    while (!error && (count = SYS(getdents64, directory, list, sizeof list)) > 0) {
        for (long at = 0; !error && at < count;) {
            struct entry *found = (struct entry *)(list + at);
            at += found->size;
            struct text below = {bytes, sizeof bytes, 0};
            add(&below, path);
            add(&below, "/");
            add(&below, found->name);
            if (is_dots(found->name) || is_hidden(bytes))
                continue;
            if (!has_hidden(bytes))
                error = let(rules, bytes, READ_FILE | READ_DIRECTORY | EXECUTE,
                            found->kind == DIRECTORY || found->kind == LINK);
            else if (found->kind == DIRECTORY)
                error = let_image(rules, bytes);
        }
    }
    SYS(close, directory);
    return error;
}

/*
 * Keep the image to read and run, the sources to read, the job's tmp to write, and three devices. Without Landlock in
 * the kernel (5.19 and later) nothing is given up: the container stands by itself.
 */
static long give_up_files(void)
{
    long version = call(__NR_landlock_create_ruleset, 0, 0, 1 /* ask for the version */, 0, 0);
    /* The first version lets nothing be moved from one directory to another, which compilers do. */
    if (version < 2)
        return 0;
    uint64_t all = version >= 5 ? 0xFFFF : version >= 3 ? 0x7FFF : version == 2 ? 0x3FFF : 0x1FFF;
    struct {
        uint64_t files, network, scopes;
    } what = {all, version >= 4 ? 3 : 0, version >= 6 ? 3 : 0};
    size_t size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
    long rules = call(__NR_landlock_create_ruleset, (long)&what, size, 0, 0, 0);
    if (rules < 0)
        return rules;
    long error = let_image(rules, "");
    static const char *const DEVICES[] = {"/dev/null", "/dev/zero", "/dev/urandom"};
    for (int i = 0; !error && i < 3; i++)
        error = let(rules, DEVICES[i], READ_FILE | WRITE_FILE, false);
    if (!error)
        error = let(rules, "src", READ_FILE | READ_DIRECTORY, true);
    if (!error)
        error = let(rules, "tmp", all, true);
    if (!error)
        error = call(__NR_landlock_restrict_self, rules, 0, 0, 0, 0);
    SYS(close, rules);
    return error;
}
