#if __has_include("/usr/bin/python3")
#error "/usr/bin/python3"
#endif
#if __has_include("/usr/bin/env")
#error "/usr/bin/env"
#endif
#if __has_include("/usr/bin/bwrap")
#error "/usr/bin/bwrap"
#endif
#if __has_include("/bin/sh")
#error "/bin/sh"
#endif
#if __has_include("/usr/share/doc/bash/copyright")
#error "/usr/share/doc/bash/copyright"
#endif
#if __has_include("/usr/share/common-licenses/GPL-3")
#error "/usr/share/common-licenses/GPL-3"
#endif
int main() {}
