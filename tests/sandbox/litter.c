/* Leaves behind whatever makes a tree hard to remove, wherever it may write: litter KIND [COUNT]. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void must(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(1);
    }
}

static void file(const char *path, int mode)
{
    int made = open(path, O_CREAT | O_WRONLY | O_EXCL, 0600);
    must(made, path);
    must(write(made, path, strlen(path)), path);
    must(fchmod(made, mode), path);
    close(made);
}

static void deep(long count)
{
    int start = open(".", O_RDONLY);
    for (long i = 0; i < count; i++) {
        must(mkdir("d", 0700), "mkdir");
        file("f", 0);
        must(chdir("d"), "chdir");
        must(chmod("..", i % 3 ? 0100 : 0300), "chmod"); /* neither to be listed nor to be written */
    }
    must(fchdir(start), "fchdir");
}

static void many(long count)
{
    char name[40];
    for (long i = 0; i < count; i++) {
        sprintf(name, "many-%ld", i);
        file(name, 0600);
    }
}

/* Directories in directories, wide and high. */
static void bushy(int levels)
{
    char name[40];
    for (int i = 0; levels && i < 6; i++) {
        sprintf(name, "%d", i); /* such as those have that are moved */
        must(mkdir(name, 0700), name);
        must(chdir(name), name);
        bushy(levels - 1);
        must(chdir(".."), "..");
        must(chmod(name, 0), name);
    }
}

static void odd(void)
{
    char longest[256];
    memset(longest, 'x', 255);
    longest[255] = 0;
    file(longest, 0);
    file("new\nline \\ '\"\x01\xff", 0600);
    file("-rf", 0600);
    file("...", 0600);
    file("one", 0600);
    must(link("one", "other"), "link");
    must(mkfifo("fifo", 0), "mkfifo");
    must(symlink("/usr", "to-usr"), "symlink");
    must(symlink("..", "up"), "symlink");
    must(symlink("around", "around"), "symlink");
    must(symlink("nowhere", "nowhere-else"), "symlink");
    struct sockaddr_un address = {AF_UNIX, "socket"};
    must(bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&address, sizeof address), "bind");
    must(mkdir("closed", 0700), "mkdir");
    must(mkdir("closed/empty", 0), "mkdir");
    must(symlink("/usr", "closed/to-usr"), "symlink");
    file("closed/file", 0);
    must(chmod("closed", 0), "chmod");
    int left = open("open", O_CREAT | O_RDWR, 0600);
    must(left, "open");
    must(flock(left, LOCK_EX), "flock");
}

int main(int argc, char **argv)
{
    const char *kind = argv[1];
    long count = argc > 2 ? atol(argv[2]) : 0;
    if (!strcmp(kind, "deep"))
        deep(count);
    else if (!strcmp(kind, "many"))
        many(count);
    else if (!strcmp(kind, "bushy"))
        bushy(count);
    else if (!strcmp(kind, "odd"))
        odd();
    else
        return 2;
    puts("left");
    return 0;
}
