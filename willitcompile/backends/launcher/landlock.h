/*
 * The kernel's Landlock: a process gives up every file but those named, for itself and its children. Numbers are those
 * of linux/landlock.h, some newer than the headers that this is built with.
 */

#pragma once

#include "system.h"

enum { EXECUTE = 1, WRITE_FILE = 2, READ_FILE = 4, READ_DIRECTORY = 8, TRUNCATE = 1 << 14, IOCTL_DEVICE = 1 << 15 };
enum { ON_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE };

/* linux/dirent.h of the kernel itself: what getdents64 gives. */
struct entry {
    uint64_t inode, offset;
    uint16_t size;
    uint8_t kind;
    char name[];
};
enum { DIRECTORY = 4, LINK = 10 };

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

/* Everything of the image, but of the kernel's own file systems and of the root that jobs lie in. */
static long let_image(long rules, const char *root)
{
    long directory = SYS(openat, AT_FDCWD, "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), error = 0, count;
    while (!error && (count = SYS(getdents64, directory, scratch, sizeof scratch)) > 0) {
        for (long at = 0; !error && at < count;) {
            struct entry *found = (struct entry *)(scratch + at);
            at += found->size;
            char bytes[300];
            struct text path = {bytes, sizeof bytes, 0};
            add(&path, "/");
            add(&path, found->name);
            bool is_ours = starts_with(root, bytes) && (!root[path.used] || root[path.used] == '/');
            if (is_ours || found->name[0] == '.' || same(bytes, "/proc") || same(bytes, "/sys") || same(bytes, "/dev") ||
                same(bytes, "/run"))
                continue;
            error = let(rules, bytes, READ_FILE | READ_DIRECTORY | EXECUTE,
                        found->kind == DIRECTORY || found->kind == LINK);
        }
    }
    SYS(close, directory);
    return error;
}

/*
 * Keep the image to read and run, the sources to read, the job's tmp to write, and three devices. Without Landlock in
 * the kernel (5.19 and later) nothing is given up: the container stands by itself.
 */
static long give_up_files(const char *root)
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
    long error = let_image(rules, root);
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
