#if __has_include("/etc/shadow")
#error "/etc/shadow"
#endif
#if __has_include("/etc/hostname")
#error "/etc/hostname"
#endif
#if __has_include("/etc/debian_version")
#error "/etc/debian_version"
#endif
#if __has_include("/etc/ssh/sshd_config")
#error "/etc/ssh/sshd_config"
#endif
#if __has_include("/root/.bashrc")
#error "/root/.bashrc"
#endif
#if __has_include("/var/lib/dpkg/status")
#error "/var/lib/dpkg/status"
#endif
#if __has_include("/var/log/lastlog")
#error "/var/log/lastlog"
#endif
#if __has_include("/proc/1/environ")
#error "/proc/1/environ"
#endif
#if __has_include("/proc/version")
#error "/proc/version"
#endif
#if __has_include("/sys/kernel/notes")
#error "/sys/kernel/notes"
#endif
#if __has_include("/dev/kmsg")
#error "/dev/kmsg"
#endif
#if __has_include("/dev/mem")
#error "/dev/mem"
#endif
int main() {}
