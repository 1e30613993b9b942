/*
 * Process 1 of a compile container. It waits on stdin for a job, lays out the job's files, confines and runs the
 * compiler, and tells on stdout what that printed and how it ended; __init__.py speaks the other side.
 *
 *     launcher ROOT IDLE_SECONDS
 *
 * ROOT is an empty writable directory in memory. Both directions consist of a kind (one byte), the length of what
 * follows (four bytes, little-endian), and the payload. Paths are relative to ROOT, which gets src and tmp.
 *
 *     d PATH                a directory
 *     f PATH NUL CONTENT    a file that is only read; w is one that may be written
 *     s LIST NUL FROM NUL TO   for each line of the file LIST a symbolic link TO/line that leads to FROM/line
 *     c PATH                close a directory: nothing is added to it any more
 *     a WORD, e NAME=VALUE  the next word of the command line, the next variable of its environment
 *     p FILTER              confine the compile: by this seccomp filter, an array of struct sock_filter, and by Landlock
 *     x LIMITS WORKDIR      run it; struct limits. Each x is answered by one T or F. Files stay, the rest is forgotten.
 *
 *     R VERSION             ready
 *     O BYTES, E BYTES      what the compile printed on stdout, on stderr
 *     T ENDING              it ended; struct ending
 *     F TEXT                it could not be started
 *
 * The end of stdin is a leash: whoever asked is gone, so everything is killed. Nothing that runs in the container can
 * reach this process: it handles no signal, so the kernel drops what its own namespace sends to process 1, and it is
 * not dumpable, so that nobody of the same user may open its memory or its descriptors.
 *
 * It is built without a C library, and must do in an image that has none.
 */

#include <linux/filter.h>
#include <linux/limits.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/seccomp.h>
#include <linux/wait.h>

#include "landlock.h"
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

/* A frame with its header is a page: a pipe that has room at all takes that much without blocking. */
enum { HEADER = 5, FRAME = 4096 };

/* ---- What goes out ---- */

static uint64_t idle_nanoseconds;
static char frame[FRAME];

/* Send the frame whose payload stands at frame + HEADER. */
static void send(char kind, uint32_t size)
{
    frame[0] = kind;
    memcpy(frame + 1, &size, sizeof size);
    size_t sent = 0;
    while (sent < HEADER + size) {
        /* Whoever has stopped to read may also be gone. */
        struct pollfd ends[] = {{0, 0, 0}, {1, POLLOUT, 0}};
        if (poll_for(ends, 2, idle_nanoseconds) == 0 || ends[0].revents)
            end_everything(1);
        long count = SYS(write, 1, frame + sent, HEADER + size - sent);
        if (count > 0)
            sent += count;
        else if (count != -EINTR && count != -EAGAIN)
            end_everything(1);
    }
}

static void send_bytes(char kind, const void *payload, uint32_t size)
{
    memcpy(frame + HEADER, payload, size);
    send(kind, size);
}

static bool is_room_for_a_frame(void)
{
    struct pollfd out = {1, POLLOUT, 0};
    return poll_for(&out, 1, 0) != 0;
}

/* Why this job cannot be run; empty while it can. */
static char failure[1024];

static const struct {
    int number;
    const char *text;
} ERRORS[] = {
    {EPERM, "Operation not permitted"},
    {ENOENT, "No such file or directory"},
    {EIO, "Input/output error"},
    {E2BIG, "Argument list too long"},
    {ENOEXEC, "Exec format error"},
    {EAGAIN, "Resource temporarily unavailable"},
    {ENOMEM, "Cannot allocate memory"},
    {EACCES, "Permission denied"},
    {EEXIST, "File exists"},
    {ENOTDIR, "Not a directory"},
    {EISDIR, "Is a directory"},
    {EINVAL, "Invalid argument"},
    {EMFILE, "Too many open files"},
    {ENOSPC, "No space left"},
    {EROFS, "Read-only file system"},
    {ENAMETOOLONG, "File name too long"},
    {ENOSYS, "Function not implemented"},
    {ELOOP, "Too many levels of symbolic links"},
    {EDQUOT, "Disk quota exceeded"},
};

/* Remember the first thing that went wrong: "cannot write src/a.c: No space left (28)". */
static void fail(const char *doing, const char *what, long error)
{
    if (failure[0])
        return;
    struct text text = {failure, sizeof failure, 0};
    add(&text, "cannot ");
    add(&text, doing);
    add(&text, " ");
    /* The reason behind it has to fit, too. */
    text.room -= 100;
    add(&text, what);
    text.room += 100;
    add(&text, ": ");
    const char *name = "error";
    for (size_t i = 0; i < sizeof ERRORS / sizeof *ERRORS; i++)
        if (ERRORS[i].number == -error)
            name = ERRORS[i].text;
    add(&text, name);
    add(&text, " (");
    add_number(&text, -error);
    add(&text, ")");
}

static void send_failure(void)
{
    send_bytes('F', failure, length(failure));
    failure[0] = 0;
}

/* ---- What comes in ---- */

static char input[65536];
static size_t input_at, input_end;
static uint32_t record_left; /* bytes of this record that were not taken yet */

static void read_input(void)
{
    long count = SYS(read, 0, input, sizeof input);
    if (count == -EINTR || count == -EAGAIN)
        return;
    if (count <= 0)
        end_everything(0);
    input_at = 0;
    input_end = count;
}

/* Take up to `most` bytes from the input, waiting for the first; how many. */
static size_t take(const char **bytes, size_t most)
{
    while (input_at == input_end) {
        struct pollfd in = {0, POLLIN, 0};
        if (poll_for(&in, 1, idle_nanoseconds) == 0)
            end_everything(0);
        read_input();
    }
    size_t count = input_end - input_at;
    if (count > most)
        count = most;
    *bytes = input + input_at;
    input_at += count;
    return count;
}

/* Take the next bytes of this record; 0 at its end. */
static size_t take_of_record(const char **bytes, size_t most)
{
    if (most > record_left)
        most = record_left;
    size_t count = most ? take(bytes, most) : 0;
    record_left -= count;
    return count;
}

/* Take up to `room` bytes of this record; how many. */
static size_t take_bytes(void *to, size_t room)
{
    const char *bytes;
    size_t taken = 0, count;
    while (taken < room && (count = take_of_record(&bytes, room - taken))) {
        memcpy((char *)to + taken, bytes, count);
        taken += count;
    }
    return taken;
}

/* Take text up to a NUL or the end of the record. */
static bool take_text(char *to, size_t room)
{
    const char *byte;
    size_t used = 0;
    while (take_of_record(&byte, 1) && *byte) {
        if (used + 1 == room) {
            to[used] = 0;
            fail("take", to, -ENAMETOOLONG);
            return false;
        }
        to[used++] = *byte;
    }
    to[used] = 0;
    return true;
}

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
static const char *root; /* as it was given; where this process is */

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
    for (size_t i = 0; i < variable_count; i++)
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
    if (filter_bytes && (error = give_up_files(root)) < 0)
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
    size_t most = FRAME - HEADER;
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

static int child_signals; /* becomes readable with each SIGCHLD, which is blocked */

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
            {0, input_at == input_end ? POLLIN : 0, 0},
            {1, is_full ? POLLOUT : 0, 0},
            {child_signals, POLLIN, 0},
            {is_full ? -1 : streams[0].pipe, POLLIN, 0},
            {is_full ? -1 : streams[1].pipe, POLLIN, 0},
        };
        uint64_t next = tick < deadline ? tick : deadline;
        if (poll_for(ready, 5, next > time ? next - time : 0) <= 0)
            continue;
        if (ready[0].revents & ~POLLIN || ready[1].revents & ~POLLOUT)
            end_everything(0);
        if (ready[0].revents)
            read_input();
        if (ready[1].revents)
            is_full = false;
        if (ready[2].revents)
            SYS(read, child_signals, scratch, sizeof scratch);
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

static void take_records(void)
{
    for (;;) {
        char header[HEADER];
        record_left = sizeof header;
        take_bytes(header, sizeof header);
        memcpy(&record_left, header + 1, sizeof record_left);
        if (!failure[0])
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
    if (*stack != 3 || !number_at(argv[2]))
        refuse("usage: launcher ROOT IDLE_SECONDS\n");
    idle_nanoseconds = number_at(argv[2]) * 1000000000;
    SYS(prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
    /* What whoever started us has left open. Without close_range, as before Linux 5.9, one by one. */
    if (SYS(close_range, 3, ~0u, 0) < 0)
        for (int file = 3; file < 1024; file++)
            SYS(close, file);
    SYS(umask, 0);
    uint64_t blocked = 1ull << (SIGCHLD - 1);
    SYS(rt_sigprocmask, SIG_BLOCK, &blocked, NULL, SIGNAL_SET);
    child_signals = SYS(signalfd4, -1, &blocked, SIGNAL_SET, O_CLOEXEC | O_NONBLOCK);
    if (child_signals < 0)
        fail("watch", "for signals", child_signals);
    root = argv[1];
    long error = SYS(chdir, root);
    if (error < 0)
        fail("enter", root, error);
    else {
        make_directory("src");
        make_directory("tmp");
        /* So that src cannot be moved away, where this directory is ours. */
        SYS(fchmodat, AT_FDCWD, ".", 0555);
    }
    if (failure[0]) {
        send_failure();
        leave(1);
    }
    send_bytes('R', "1", 1);
    take_records();
    __builtin_unreachable();
}

#if defined(__x86_64__)
__asm__(".global _start\n_start: mov %rsp, %rdi\nand $-16, %rsp\ncall launcher_main\n");
#elif defined(__aarch64__)
__asm__(".global _start\n_start: mov x0, sp\nbl launcher_main\n");
#endif
