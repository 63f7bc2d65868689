"""The system calls that a sandboxed program may make, with their numbers.

Each entry is a name, its number on x86_64 and on aarch64 ("-": not there). Whatever is not listed
is refused. Numbers are those of the kernel's ``unistd.h``; they never change.
"""

from __future__ import annotations

MACHINES = ("x86_64", "aarch64")
"""As ``os.uname().machine`` names them; the columns of the tables."""

FREE = """
    read 0 63, write 1 64, readv 19 65, writev 20 66, pread64 17 67, pwrite64 18 68,
    preadv 295 69, pwritev 296 70, preadv2 327 286, pwritev2 328 287, lseek 8 62, close 3 57,
    close_range 436 436, dup 32 23, dup2 33 -, dup3 292 24, flock 73 32, fsync 74 82,
    fdatasync 75 83, ftruncate 77 46, fadvise64 221 223, copy_file_range 326 285,
    sendfile 40 71, stat 4 -, fstat 5 80, lstat 6 -, newfstatat 262 79, statx 332 291,
    statfs 137 43, fstatfs 138 44, access 21 -, faccessat 269 48, faccessat2 439 439,
    readlink 89 -, readlinkat 267 78, getdents 78 -, getdents64 217 61, getcwd 79 17,
    chdir 80 49, fchdir 81 50, umask 95 166, rename 82 -, renameat 264 38, renameat2 316 276,
    mkdir 83 -, mkdirat 258 34, rmdir 84 -, link 86 -, linkat 265 37, unlink 87 -,
    unlinkat 263 35, symlink 88 -, symlinkat 266 36, pipe 22 -, pipe2 293 59, poll 7 -,
    ppoll 271 73, select 23 -, pselect6 270 72, epoll_create 213 -, epoll_create1 291 20,
    epoll_ctl 233 21, epoll_wait 232 -, epoll_pwait 281 22, epoll_pwait2 441 441, eventfd 284 -,
    eventfd2 290 19, recvfrom 45 207, shutdown 48 210, getsockname 51 204, getpeername 52 205,
    getsockopt 55 209, mmap 9 222, mprotect 10 226, munmap 11 215, mremap 25 216, brk 12 214,
    madvise 28 233, msync 26 227, membarrier 324 283, getrandom 318 278, exit 60 93,
    exit_group 231 94, wait4 61 260, waitid 247 95, futex 202 98, restart_syscall 219 128,
    set_tid_address 218 96, set_robust_list 273 99, get_robust_list 274 100, rseq 334 293,
    getpid 39 172, getppid 110 173, gettid 186 178, getpgrp 111 -, getpgid 121 155,
    getsid 124 156, getuid 102 174, geteuid 107 175, getgid 104 176, getegid 108 177,
    getresuid 118 148, getresgid 120 150, getgroups 115 158, getpriority 140 141,
    getrlimit 97 163, getrusage 98 165, times 100 153, sysinfo 99 179, uname 63 160,
    getcpu 309 168, sched_yield 24 124, sched_getaffinity 204 123, sched_getparam 143 121,
    sched_getscheduler 145 120, sched_get_priority_max 146 125, sched_get_priority_min 147 126,
    rt_sigaction 13 134, rt_sigprocmask 14 135, rt_sigreturn 15 139, rt_sigpending 127 136,
    rt_sigsuspend 130 133, rt_sigtimedwait 128 137, sigaltstack 131 132, pause 34 -, alarm 37 -,
    getitimer 36 102, setitimer 38 103, clock_gettime 228 113, clock_getres 229 114,
    clock_nanosleep 230 115, nanosleep 35 101, gettimeofday 96 169, time 201 -
"""
"""Harmless with any argument: Landlock says which files they reach."""

CHECKED = """
    open 2 -, openat 257 56, clone 56 220, ioctl 16 29, fcntl 72 25, prctl 157 167, kill 62 129,
    tgkill 234 131, socketpair 53 199, sendto 44 206, prlimit64 302 261
"""
"""Harmless with some arguments; `seccomp.CHECKS` says with which."""

SILENT = """
    chmod 90 -, fchmod 91 52, fchmodat 268 53, fchmodat2 452 452, utime 132 -, utimes 235 -,
    futimesat 261 -, utimensat 280 88
"""
"""Answered with success, and not done: Landlock does not know about modes and times of files."""

ABSENT = """
    clone3 435 435, openat2 437 437
"""
"""Answered as an older kernel would: their arguments lie in memory, where no filter can look."""

UNSUPPORTED = """
    setxattr 188 5, lsetxattr 189 6, fsetxattr 190 7, getxattr 191 8, lgetxattr 192 9,
    fgetxattr 193 10, listxattr 194 11, llistxattr 195 12, flistxattr 196 13,
    removexattr 197 14, lremovexattr 198 15, fremovexattr 199 16
"""
"""Answered as by a file system without extended attributes."""


def numbers(table: str, machine: str) -> dict[str, int]:
    """Return the calls of ``table`` that ``machine`` has, by name."""
    column = 1 + MACHINES.index(machine)
    rows = (entry.split() for entry in table.split(","))
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}
