/*
 * Process 1 of a compile container. It waits on stdin for a job, lays out the job's files, confines and runs the
 * compiler, and tells on stdout what that printed and how it ended; __init__.py speaks the other side.
 *
 *     launcher ROOT IDLE_SECONDS [PART…]
 *
 * ROOT is an empty writable directory in memory, or the name of one that is made in such a directory. Both directions
 * consist of a kind (one byte), the length of what follows (four bytes, little-endian), and the payload. Paths are
 * relative to ROOT, which gets src and tmp.
 *
 * Where PARTs are given, the records come from these files, which are one stream of raw deflate together, and stdin is
 * not looked at. Each frame is then a line on stdout, which goes through a container's log as it is: its number from 0
 * in decimal, a space, base64. After the last record it exits with 0, or before with 1 where it cannot go on.
 *
 *     d PATH                a directory
 *     f PATH NUL CONTENT    a file that is only read; w is one that may be written
 *     s LIST NUL FROM NUL TO   for each line of the file LIST a symbolic link TO/line that leads to FROM/line; where
 *                           there is no LIST, none
 *     c PATH                close a directory: nothing is added to it any more
 *     a WORD, e NAME=VALUE  the next word of the command line, the next variable of its environment
 *     i NAME                a variable as the launcher has it, if it does and none of that name was given
 *     p FILTER              confine the compile: by this seccomp filter, an array of struct sock_filter, and by Landlock
 *     x LIMITS WORKDIR      run it; struct limits. Each x is answered by one T or F. Files stay, the rest is forgotten.
 *     n                     begin anew: what jobs have left is removed
 *     h NONCE               say H, to whoever has not been there for the R
 *
 *     R VERSION             ready
 *     H NONCE               what was before is done
 *     O BYTES, E BYTES      what the compile printed on stdout, on stderr
 *     T ENDING              it ended; struct ending
 *     F TEXT                it could not be started
 *
 * The end of stdin is a leash: whoever asked is gone, so everything is killed; and so it is by a SIGTERM from outside
 * of the container. Nothing that runs in it can reach this process: the kernel drops what its own namespace sends to
 * process 1, but for the two signals that are read here and tell where they are from, and it is not dumpable, so that
 * nobody of the same user may open its memory or its descriptors.
 *
 * It is built without a C library, and must do in an image that has none.
 */

#include <linux/filter.h>
#include <linux/limits.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/seccomp.h>
#include <linux/wait.h>

#include "input.h"
#include "landlock.h"
#include "output.h"
#include "sweep.h"
#include "system.h"
#include "usage.h"

struct limits {
    uint64_t wall_milliseconds, memory_bytes, output_bytes, file_bytes, processes;
} __attribute__((packed));

enum { NOT_STOPPED, WALL, MEMORY, PROCESSES, OUTPUT };

struct ending {
    int32_t exit_code; /* -1: none */
    int32_t signal;
    uint32_t stopped;
    uint64_t oom_kills, process_limit_hits, peak_memory_bytes, nanoseconds;
} __attribute__((packed));

/* How often a running compile is looked at. */
static const uint64_t TICK_NANOSECONDS = 50000000;

/* ---- Laying out the job's files ---- */

/* The client has checked it, too. */
static bool is_inside(const char *path)
{
    if (!*path || *path == '/')
        return false;
    for (const char *at = path; *at; at++)
        if ((at == path || at[-1] == '/') && starts_with(at, "..") && (at[2] == '/' || !at[2]))
            return false;
    return true;
}

static bool take_path(char *path)
{
    if (!take_text(path, PATH_MAX))
        return false;
    if (!is_inside(path))
        fail("take the path", path, -EINVAL);
    return !failure[0];
}

static void make_directory(const char *path)
{
    long error = SYS(mkdirat, AT_FDCWD, path, 0755);
    if (error < 0 && error != -EEXIST)
        fail("make", path, error);
}

static void write_file(const char *path, int mode)
{
    long file = SYS(openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (file < 0) {
        fail("write", path, file);
        return;
    }
    const char *bytes;
    size_t count;
    while (!failure[0] && (count = take_of_record(&bytes, sizeof input))) {
        while (count) {
            long written = SYS(write, file, bytes, count);
            if (written < 0) {
                fail("write", path, written);
                break;
            }
            bytes += written;
            count -= written;
        }
    }
    SYS(close, file);
}

static void make_link(const char *target, char *path)
{
    long error = SYS(symlinkat, target, AT_FDCWD, path);
    if (error == -ENOENT) {
        for (char *at = path + 1; *at; at++)
            if (*at == '/') {
                *at = 0;
                make_directory(path);
                *at = '/';
            }
        error = SYS(symlinkat, target, AT_FDCWD, path);
    }
    if (error < 0 && error != -EEXIST)
        fail("link", path, error);
}

static void make_links(void)
{
    static char list[PATH_MAX], from[2 * PATH_MAX], to[2 * PATH_MAX], name[PATH_MAX];
    if (!take_text(list, sizeof list) || !take_text(from, PATH_MAX) || !take_path(to))
        return;
    long file = SYS(openat, AT_FDCWD, list, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        if (file != -ENOENT)
            fail("read", list, file);
        return;
    }
    struct text target = {from, sizeof from, length(from)}, path = {to, sizeof to, length(to)}, line = {name, sizeof name, 0};
    add(&target, "/");
    add(&path, "/");
    size_t target_start = target.used, path_start = path.used;
    bool is_end = false;
    while (!is_end && !failure[0]) {
        long count = SYS(read, file, scratch, sizeof scratch);
        if (count < 0)
            fail("read", list, count);
        is_end = count == 0;
        if (is_end) /* a last line without its end */
            scratch[count++] = '\n';
        for (long i = 0; i < count && !failure[0]; i++) {
            if (scratch[i] != '\n') {
                char one[] = {scratch[i], 0};
                add(&line, one);
                continue;
            }
            if (!line.used)
                continue;
            if (!is_inside(name))
                fail("take the path", name, -EINVAL);
            target.used = target_start;
            path.used = path_start;
            add(&target, name);
            add(&path, name);
            if (!failure[0])
                make_link(from, to);
            line.used = 0;
        }
    }
    SYS(close, file);
}

/* ---- What a job is made of ---- */

static char words[2 << 20]; /* as much as the kernel takes with a stack of 8 MiB */
static size_t words_used;
static char *arguments[8192], *environment[1024]; /* the last one stays NULL */
static size_t argument_count, variable_count;
static struct sock_filter filter[BPF_MAXINSNS];
static size_t filter_bytes;
static struct limits limits;
static char workdir[PATH_MAX];
static char **inherited; /* this process's own environment */

static void take_word(char **list, size_t *count, size_t room)
{
    if (*count + 1 == room || record_left >= sizeof words - words_used) {
        fail("take", "the command line", -E2BIG);
        return;
    }
    list[(*count)++] = words + words_used;
    words_used += take_bytes(words + words_used, record_left);
    words[words_used++] = 0;
}

static void inherit(char *name)
{
    struct text start = {name, PATH_MAX, length(name)};
    add(&start, "=");
    for (size_t i = 0; i < variable_count; i++)
        if (starts_with(environment[i], name))
            return;
    for (char **own = inherited; *own; own++)
        if (starts_with(*own, name)) {
            if (variable_count + 1 == sizeof environment / sizeof *environment)
                fail("take", name, -E2BIG);
            else
                environment[variable_count++] = *own;
            return;
        }
}

static void forget_job(void)
{
    memset(arguments, 0, argument_count * sizeof *arguments);
    memset(environment, 0, variable_count * sizeof *environment);
    words_used = argument_count = variable_count = filter_bytes = 0;
}

/* ---- The child, until it is the compiler ---- */

struct problem {
    const char *doing, *what;
    long error;
};

static void lower(int resource, uint64_t soft, uint64_t hard)
{
    struct rlimit64 old, new;
    SYS(prlimit64, 0, resource, NULL, &old);
    new.rlim_max = hard < old.rlim_max ? hard : old.rlim_max;
    new.rlim_cur = soft < new.rlim_max ? soft : new.rlim_max;
    SYS(prlimit64, 0, resource, &new, NULL);
}

static void lower_limits(void)
{
    static uint64_t cores[128];
    uint64_t count = 0;
    long size = SYS(sched_getaffinity, 0, sizeof cores, cores);
    for (long i = 0; i < size * 8; i++)
        count += cores[i / 64] >> i % 64 & 1;
    /* Not 0: that does not keep a crash from the program that core_pattern may name. A file takes more than this. */
    lower(RLIMIT_CORE, 1, 1);
    lower(RLIMIT_FSIZE, limits.file_bytes, limits.file_bytes);
    lower(RLIMIT_NOFILE, 1024, 1024);
    lower(RLIMIT_MEMLOCK, 0, 0);
    lower(RLIMIT_MSGQUEUE, 0, 0);
    /* Fewer than this process may have: where there is no room for another pending signal of this user, the kernel
     * forgets whom a SIGTERM is from. */
    lower(RLIMIT_SIGPENDING, 1024, 1024);
    /* gcc raises its own stack to 64 MiB. */
    lower(RLIMIT_STACK, 8 << 20, 64 << 20);
    /* A second line: the wall clock ends a job well before. */
    uint64_t seconds = (limits.wall_milliseconds / 1000 + 1) * (count ? count : 1024) + 5;
    lower(RLIMIT_CPU, seconds, seconds);
    /* Not RLIMIT_NPROC: it would count the processes that this user has in other containers. */
}

/* As execvp, but an empty element of PATH is not the current directory. Returns an error. */
static long execute(void)
{
    const char *program = arguments[0], *path = "/bin:/usr/bin";
    for (const char *at = program; *at; at++)
        if (*at == '/')
            return SYS(execve, program, arguments, environment);
    for (size_t i = variable_count; i-- > 0;)
        if (starts_with(environment[i], "PATH="))
            path = environment[i] + 5;
    long worst = -ENOENT;
    while (*path) {
        static char candidate[2 * PATH_MAX];
        struct text text = {candidate, sizeof candidate, 0};
        for (; *path && *path != ':'; path++) {
            char one[] = {*path, 0};
            add(&text, one);
        }
        if (*path)
            path++;
        if (!text.used)
            continue;
        add(&text, "/");
        add(&text, program);
        long error = SYS(execve, candidate, arguments, environment);
        if (error == -EACCES)
            worst = error;
        else if (error != -ENOENT && error != -ENOTDIR)
            return error;
    }
    return worst;
}

/* Every descriptor of this process but 0, 1 and 2 closes as the compiler starts. */
static struct problem become_compiler(int out, int err)
{
    long error;
    SYS(setsid);
    long null = SYS(openat, AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return (struct problem){"open", "/dev/null", null};
    if ((error = SYS(dup3, null, 0, 0)) < 0 || (error = SYS(dup3, out, 1, 0)) < 0 || (error = SYS(dup3, err, 2, 0)) < 0)
        return (struct problem){"open", "its output", error};
    /* When the machine runs out of memory, a compile is to go first. (Its file in /proc is root's otherwise.) */
    SYS(prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
    long score = SYS(openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    SYS(write, score, "1000", 4);
    lower_limits();
    SYS(umask, 022);
    long defaults[4] = {0}; /* struct sigaction, as the kernel has it */
    for (int number = 1; number <= 64; number++)
        SYS(rt_sigaction, number, defaults, NULL, SIGNAL_SET);
    SYS(rt_sigprocmask, SIG_SETMASK, defaults, NULL, SIGNAL_SET);
    if ((error = SYS(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) < 0)
        return (struct problem){"give up", "new privileges", error};
    if (filter_bytes && (error = give_up_files()) < 0)
        return (struct problem){"give up", "what is not the job's", error};
    if ((error = SYS(chdir, workdir)) < 0)
        return (struct problem){"enter", workdir, error};
    struct sock_fprog program = {filter_bytes / sizeof *filter, filter};
    if (filter_bytes && (error = SYS(prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0)) < 0)
        return (struct problem){"set", "the seccomp filter", error};
    error = execute();
    return (struct problem){"run", arguments[0], error};
}

/* ---- Running a job ---- */

struct stream {
    char kind;
    int pipe; /* -1: at its end */
    uint64_t left;
};

/* Send on what can be read. False where it is more than may be. */
static bool forward(struct stream *stream)
{
    size_t most = (parts ? FRAME_IN_LINE : FRAME) - HEADER;
    if (most > stream->left)
        most = stream->left + 1;
    long count = SYS(read, stream->pipe, frame + HEADER, most);
    if (count == -EAGAIN || count == -EINTR)
        return true;
    if (count <= 0) {
        SYS(close, stream->pipe);
        stream->pipe = -1;
        return true;
    }
    uint64_t kept = (uint64_t)count > stream->left ? stream->left : (uint64_t)count;
    stream->left -= kept;
    if (kept)
        send(stream->kind, kept);
    return kept == (uint64_t)count;
}

/* When everything that could write is dead: what is still in the pipe. */
static bool forward_rest(struct stream *stream)
{
    bool within = true;
    while (within && stream->pipe >= 0) {
        struct pollfd rest = {stream->pipe, POLLIN, 0};
        if (poll_for(&rest, 1, 0) <= 0)
            break;
        within = forward(stream);
    }
    if (stream->pipe >= 0)
        SYS(close, stream->pipe);
    return within;
}

/* Kill again with each that is gone: another one may just have been in the making. */
static void kill_and_reap(long compiler, int *status)
{
    for (;;) {
        int other;
        SYS(kill, -1, SIGKILL);
        long pid = SYS(wait4, -1, &other, 0, NULL);
        if (pid == compiler)
            *status = other;
        if (pid == -ECHILD)
            return;
    }
}

/* Some at a time: a compile that makes them as fast as they are reaped must not keep us from looking at the clock. */
static bool reap(long compiler, int *status)
{
    bool ended = false;
    int other;
    long pid;
    for (int i = 0; i < 64 && (pid = SYS(wait4, -1, &other, WNOHANG, NULL)) > 0; i++)
        if (pid == compiler) {
            *status = other;
            ended = true;
        }
    return ended;
}

/* Until the compiler has ended, or has to: why. */
static uint32_t watch(long compiler, int *status, struct stream *streams, uint64_t begin, uint64_t before_memory,
                      uint64_t before_threads, uint64_t *peak)
{
    uint64_t deadline = begin + limits.wall_milliseconds * 1000000, tick = begin + TICK_NANOSECONDS;
    bool is_full = false; /* our own stdout: nothing is read that could not be sent on at once */
    while (!reap(compiler, status)) {
        uint64_t time = now();
        if (time >= deadline)
            return WALL;
        if (time >= tick) {
            struct usage usage = look(limits.processes);
            uint64_t memory = usage.memory_bytes > before_memory ? usage.memory_bytes - before_memory : 0;
            if (memory > *peak)
                *peak = memory;
            if (memory > limits.memory_bytes)
                return MEMORY;
            if (usage.threads > before_threads + limits.processes)
                return PROCESSES;
            time = now();
            tick = time + TICK_NANOSECONDS;
        }
        struct pollfd ready[] = {
            {leash, input_at == input_end ? POLLIN : 0, 0},
            {1, is_full ? POLLOUT : 0, 0},
            {signals, POLLIN, 0},
            {is_full ? -1 : streams[0].pipe, POLLIN, 0},
            {is_full ? -1 : streams[1].pipe, POLLIN, 0},
        };
        uint64_t next = tick < deadline ? tick : deadline;
        if (poll_for(ready, 5, next > time ? next - time : 0) <= 0)
            continue;
        if (ready[0].revents & ~POLLIN)
            end_everything(0);
        if (ready[1].revents & ~POLLOUT)
            end_everything(1);
        if (ready[0].revents)
            read_input();
        if (ready[1].revents)
            is_full = false;
        if (ready[2].revents)
            heed_signals();
        for (int i = 0; i < 2; i++) {
            if (!ready[3 + i].revents)
                continue;
            if (!is_room_for_a_frame())
                is_full = true;
            else if (!forward(&streams[i]))
                return OUTPUT;
        }
    }
    return NOT_STOPPED;
}

static void run_job(void)
{
    int out[2] = {-1, -1}, err[2] = {-1, -1}, problems[2] = {-1, -1}, status = 0;
    long error;
    if (!argument_count) {
        fail("run", "a command without words", -EINVAL);
        return;
    }
    if ((error = SYS(pipe2, out, O_CLOEXEC)) < 0 || (error = SYS(pipe2, err, O_CLOEXEC)) < 0 ||
        (error = SYS(pipe2, problems, O_CLOEXEC)) < 0) {
        fail("make", "a pipe", error);
        return;
    }
    SYS(fcntl, out[0], F_SETFL, O_NONBLOCK);
    SYS(fcntl, err[0], F_SETFL, O_NONBLOCK);
    struct usage before = look(limits.processes);
    uint64_t oom_kills_before = oom_kills(), hits_before = process_limit_hits(), begin = now();
    struct problem problem = {NULL, NULL, 0};
    long compiler = SYS(clone, SIGCHLD);
    if (compiler == 0) {
        problem = become_compiler(out[1], err[1]);
        SYS(write, problems[1], &problem, sizeof problem);
        leave(127);
    }
    SYS(close, out[1]);
    SYS(close, err[1]);
    SYS(close, problems[1]);
    /* It closes as the compiler starts. Both processes have the same addresses. */
    if (compiler < 0)
        problem = (struct problem){"start", "a process", compiler};
    else
        SYS(read, problems[0], &problem, sizeof problem);
    SYS(close, problems[0]);
    if (problem.doing) {
        fail(problem.doing, problem.what, problem.error);
        kill_and_reap(compiler, &status);
        SYS(close, out[0]);
        SYS(close, err[0]);
        return;
    }
    struct stream streams[] = {{'O', out[0], limits.output_bytes}, {'E', err[0], limits.output_bytes}};
    struct ending ending = {-1, 0, 0, 0, 0, 0, 0};
    uint64_t peak = 0;
    ending.stopped = watch(compiler, &status, streams, begin, before.memory_bytes, before.threads, &peak);
    ending.nanoseconds = now() - begin;
    kill_and_reap(compiler, &status);
    for (int i = 0; i < 2; i++)
        if (!forward_rest(&streams[i]) && !ending.stopped)
            ending.stopped = OUTPUT;
    ending.oom_kills = oom_kills() - oom_kills_before;
    ending.process_limit_hits = process_limit_hits() - hits_before;
    ending.peak_memory_bytes = peak;
    /* As WIFEXITED, WEXITSTATUS and WTERMSIG. */
    ending.signal = status & 0x7f;
    if (!ending.signal)
        ending.exit_code = status >> 8 & 0xff;
    send_bytes('T', &ending, sizeof ending);
}

/* ---- Where jobs lie ---- */

static const char *root;       /* as it was given; where this process is */
static const char *own_name;   /* of root in the directory that it was made in; NULL where it was there before */
static char home[PATH_MAX];    /* root, as the kernel names it */

static void make_directories(void)
{
    make_directory("src");
    make_directory("tmp");
    /* So that src cannot be moved away, where this directory is ours. */
    SYS(fchmodat, AT_FDCWD, ".", 0555);
}

static void settle(void)
{
    long error = SYS(chdir, root);
    if (error == -ENOENT) {
        if ((error = SYS(mkdirat, AT_FDCWD, root, 0700)) < 0) {
            fail("make", root, error);
            return;
        }
        own_name = root;
        for (const char *at = root; *at; at++)
            if (*at == '/')
                own_name = at + 1;
        error = SYS(chdir, root);
    }
    if (error < 0 || (error = SYS(getcwd, home, sizeof home)) < 0)
        fail("enter", root, error);
    else
        make_directories();
}

static void clear(const char *path, const char *spared)
{
    long error = sweep(path, spared);
    if (error < 0)
        fail("clear", path, error);
}

/*
 * Leave nothing of the jobs before, wherever in a container they may write without Landlock. All that ran is dead. What
 * is in no file they could not make, by the filter: shared memory and queues of System V, keys, sockets.
 */
static void begin_anew(void)
{
    static char where[PATH_MAX];
    forget_job();
    /* The directory that root is in may be open to all. */
    long error = SYS(getcwd, where, sizeof where);
    if (error < 0 || !same(where, home)) {
        fail("find", root, error < 0 ? error : -ENOENT);
        return;
    }
    clear(".", "");
    if (own_name)
        clear("..", own_name);
    clear("/dev/shm", "");
    clear("/dev/mqueue", "");
    /* Where Kubernetes lets a container write why it ended. */
    long file = SYS(openat, AT_FDCWD, "/dev/termination-log", O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);
    if (file >= 0)
        SYS(close, file);
    if (!failure[0])
        make_directories();
}

/* The compile is not to see the directory of other jobs, or the files that they come from. */
static bool hide(char *path, bool is_part)
{
    static char names[8192];
    static size_t used, count;
    size_t end = is_part ? 0 : 1;
    if (is_part)
        for (size_t i = 1; path[i]; i++)
            end = path[i] == '/' ? i : end;
    else
        while (path[end] && path[end] != '/')
            end++;
    if (!end) /* a part in / */
        end = length(path);
    if (*path != '/' || used + end + 1 > sizeof names || count + 1 == sizeof hidden / sizeof *hidden)
        return false;
    memcpy(names + used, path, end);
    names[used + end] = 0;
    for (size_t i = 0; i < count; i++)
        if (same(hidden[i], names + used))
            return true;
    hidden[count++] = names + used;
    used += end + 1;
    return true;
}

/* ---- Records ---- */

static void take_record(char kind)
{
    static char path[PATH_MAX];
    switch (kind) {
    case 'd':
        if (take_path(path))
            make_directory(path);
        break;
    case 'f':
    case 'w':
        if (take_path(path))
            write_file(path, kind == 'f' ? 0444 : 0644);
        break;
    case 's':
        make_links();
        break;
    case 'c':
        if (take_path(path)) {
            long error = SYS(fchmodat, AT_FDCWD, path, 0555);
            if (error < 0)
                fail("close", path, error);
        }
        break;
    case 'a':
        take_word(arguments, &argument_count, sizeof arguments / sizeof *arguments);
        break;
    case 'e':
        take_word(environment, &variable_count, sizeof environment / sizeof *environment);
        break;
    case 'i':
        if (take_text(path, sizeof path - 1))
            inherit(path);
        break;
    case 'n':
        begin_anew();
        break;
    case 'p':
        filter_bytes = take_bytes(filter, sizeof filter);
        if (record_left || filter_bytes % sizeof *filter)
            fail("take", "the seccomp filter", -EINVAL);
        break;
    case 'x':
        if (take_bytes(&limits, sizeof limits) == sizeof limits && take_path(workdir))
            run_job();
        else
            fail("take", "the limits", -EINVAL);
        break;
    default:
        fail("take", "a record of this kind", -EINVAL);
    }
}

static void answer(void)
{
    char nonce[64];
    size_t size = take_bytes(nonce, sizeof nonce);
    if (record_left)
        fail("take", "the nonce", -EINVAL);
    else
        send_bytes('H', nonce, size);
}

static bool is_end(void)
{
    return parts && input_at == input_end && !read_parts();
}

static void take_records(void)
{
    while (!is_end()) {
        char header[HEADER];
        record_left = sizeof header;
        take_bytes(header, sizeof header);
        memcpy(&record_left, header + 1, sizeof record_left);
        if (header[0] == 'h')
            answer();
        else if (!failure[0])
            take_record(header[0]);
        const char *rest;
        while (take_of_record(&rest, sizeof input))
            continue;
        if (header[0] == 'x') {
            if (failure[0])
                send_failure();
            forget_job();
        }
    }
}

static _Noreturn void refuse(const char *why)
{
    SYS(write, 2, why, length(why));
    leave(2);
}

__attribute__((used)) _Noreturn void launcher_main(long *stack)
{
    char **argv = (char **)(stack + 1);
    /* It kills whatever it can reach. Anywhere but in a container of its own that would be the user's session. */
    if (SYS(getpid) != 1)
        refuse("launcher: it runs only as process 1 of a container\n");
    if (*stack < 3 || !number_at(argv[2]) || !hide(argv[1], false))
        refuse("usage: launcher ROOT IDLE_SECONDS [PART...]\n");
    for (long i = 3; i < *stack; i++)
        if (!hide(argv[i], true))
            refuse("launcher: parts need absolute paths, in a few directories\n");
    if (*stack > 3) {
        parts = argv + 3;
        leash = -1;
    }
    inherited = argv + *stack + 1;
    idle_nanoseconds = number_at(argv[2]) * 1000000000;
    SYS(prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
    /* What whoever started us has left open. Without close_range, as before Linux 5.9, one by one. */
    if (SYS(close_range, 3, ~0u, 0) < 0)
        for (int file = 3; file < 1024; file++)
            SYS(close, file);
    SYS(umask, 0);
    uint64_t blocked = 1ull << (SIGCHLD - 1) | 1ull << (SIGTERM - 1);
    SYS(rt_sigprocmask, SIG_BLOCK, &blocked, NULL, SIGNAL_SET);
    signals = SYS(signalfd4, -1, &blocked, SIGNAL_SET, O_CLOEXEC | O_NONBLOCK);
    if (signals < 0)
        fail("watch", "for signals", signals);
    root = argv[1];
    settle();
    if (failure[0]) {
        send_failure();
        leave(1);
    }
    send_bytes('R', "1", 1);
    take_records();
    if (failure[0]) {
        send_failure();
        leave(1);
    }
    leave(0);
}

#if defined(__x86_64__)
__asm__(".global _start\n_start: mov %rsp, %rdi\nand $-16, %rsp\ncall launcher_main\n");
#elif defined(__aarch64__)
__asm__(".global _start\n_start: mov x0, sp\nbl launcher_main\n");
#endif
