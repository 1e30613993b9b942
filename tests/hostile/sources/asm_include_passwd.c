__asm__(".include \"/etc/passwd\"");
__asm__(".error \"end\"");
