"""Ways out of the sandbox: each is a program that prints `ESCAPED` when it has got through.

``OUTSIDE`` is a folder that the program must not reach, ``LIBRARY`` one that it may only read,
``PARENT`` the process that started it. In all of them lies what the attempts need; see
`test_sandbox_escapes`.
"""

from __future__ import annotations

from dataclasses import dataclass

import psutil

ESCAPED = "ESCAPED"

PRELUDE = """
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)

def escaped():
    print("ESCAPED", flush=True)

def reached(number, *arguments):
    '''Whether the kernel looked at a call's arguments, instead of refusing the call.'''
    if number is None:
        sys.exit("this machine has no such call")
    if libc.syscall(number, *arguments) >= 0 or ctypes.get_errno() not in REFUSALS:
        escaped()

def call(x86_64, aarch64):
    return {"x86_64": x86_64, "aarch64": aarch64}[os.uname().machine]

REFUSALS = (errno.EPERM, errno.ENOSYS)
"""


def shut_in() -> list[psutil.Process]:
    """Return the sandbox's processes that are still there; other tests may have children, too."""
    children = psutil.Process().children(recursive=True)
    return [each for each in children if _is_shut_in(each)]


def _is_shut_in(process: psutil.Process) -> bool:
    try:
        return any(part.endswith("child.py") for part in process.cmdline())
    except psutil.NoSuchProcess:
        return False


@dataclass(frozen=True, slots=True)
class Attempt:
    """``code`` follows `PRELUDE`.

    ``everywhere``: it gets through outside of the sandbox on any machine, and a test shows that.
    Others depend on the user, the kernel or its settings: they are skipped where they would not.
    """

    code: str
    everywhere: bool = True


def maybe(code: str) -> Attempt:
    """Return an attempt that needs more than an ordinary user on an ordinary kernel."""
    return Attempt(code, everywhere=False)


FILES = {
    "read the list of users": Attempt("open('/etc/passwd').read(1); escaped()"),
    "read a file of the user": Attempt("open(OUTSIDE + '/secret').read(); escaped()"),
    "read by a relative path": Attempt(
        "open(os.path.relpath(OUTSIDE + '/secret')).read(); escaped()"
    ),
    "read past Python": Attempt("if libc.open((OUTSIDE + '/secret').encode(), 0) >= 0: escaped()"),
    "read with openat2": Attempt(
        "how = (ctypes.c_uint64 * 3)()\n"
        "if libc.syscall(437, -100, (OUTSIDE + '/secret').encode(), how, 24) >= 0: escaped()"
    ),
    "read through a symbolic link": Attempt(
        "os.symlink(OUTSIDE + '/secret', 'link'); open('link').read(); escaped()"
    ),
    "read through a hard link": Attempt(
        "os.link(OUTSIDE + '/secret', 'link'); open('link').read(); escaped()"
    ),
    "read through /proc/self/root": Attempt(
        "open('/proc/self/root' + OUTSIDE + '/secret').read(); escaped()"
    ),
    "list a folder": Attempt("os.listdir(OUTSIDE); escaped()"),
    "list the root": Attempt("os.listdir('/'); escaped()"),
    "go there and list it": Attempt("os.chdir(OUTSIDE); os.listdir('.'); escaped()"),
    "take a file": Attempt("os.rename(OUTSIDE + '/secret', 'mine'); escaped()"),
    "write a new file": Attempt("open(OUTSIDE + '/new', 'w').write('x'); escaped()"),
    "append to a file": Attempt("open(OUTSIDE + '/secret', 'a').write('x'); escaped()"),
    "write through a symbolic link": Attempt(
        "os.symlink(OUTSIDE, 'link'); open('link/new', 'w').write('x'); escaped()"
    ),
    "make a folder": Attempt("os.mkdir(OUTSIDE + '/new'); escaped()"),
    "delete a file": Attempt("os.remove(OUTSIDE + '/secret'); escaped()"),
    "put a file there": Attempt("open('x', 'w'); os.rename('x', OUTSIDE + '/x'); escaped()"),
    "overwrite a library": Attempt("open(LIBRARY + '/module.py', 'w'); escaped()"),
    "delete a library": Attempt("os.remove(LIBRARY + '/module.py'); escaped()"),
    "add to the libraries": Attempt("open(LIBRARY + '/sitecustomize.py', 'w'); escaped()"),
    "truncate a library": Attempt("os.truncate(LIBRARY + '/module.py', 0); escaped()"),
    "truncate a library that is only read": Attempt(
        "os.open(LIBRARY + '/module.py', os.O_RDONLY | os.O_TRUNC)\n"
        "if os.stat(LIBRARY + '/module.py').st_size == 0: escaped()"
    ),
    "change the mode of a file": Attempt(
        "os.chmod(OUTSIDE + '/secret', 0o777)\n"
        "if os.stat(OUTSIDE + '/secret').st_mode & 0o777 == 0o777: escaped()"
    ),
    "change the mode of an open file": Attempt(
        "os.fchmod(os.open(LIBRARY + '/module.py', os.O_RDONLY), 0o777)\n"
        "if os.stat(LIBRARY + '/module.py').st_mode & 0o777 == 0o777: escaped()"
    ),
    "change the time of a file": Attempt(
        "os.utime(OUTSIDE + '/secret', (1, 1))\n"
        "if os.stat(OUTSIDE + '/secret').st_mtime == 1: escaped()"
    ),
    "change the owner of a file": Attempt(
        "os.chown(OUTSIDE + '/secret', os.getuid(), os.getgid()); escaped()"
    ),
    "mark a file": maybe("os.setxattr(OUTSIDE + '/secret', 'user.x', b'x'); escaped()"),
    "watch a folder": Attempt("if libc.inotify_init1(0) >= 0: escaped()"),
    "delete its own folder": Attempt(
        "own = os.getcwd(); [os.remove(name) for name in os.listdir()]\n"
        "os.chdir('/'); os.rmdir(own); escaped()"
    ),
    "make a device": maybe("os.mknod('disk', 0o60600, os.makedev(7, 0)); escaped()"),
    "make a named pipe": Attempt("os.mkfifo('pipe'); escaped()"),
    "open by handle": maybe("reached(call(304, 265), -1, 0, 0)"),
    "use an inherited descriptor": Attempt(
        "for number in range(3, 256):\n"
        "    try:\n"
        "        if os.pread(number, 99, 0) == SECRET.encode(): escaped()\n"
        "    except OSError: pass"
    ),
    "read the environment": Attempt("if SECRET in os.environ.values(): escaped()"),
}
"""Files, and what else of the machine can be read."""

MEMORY = {
    "read the parent's memory": maybe("open(f'/proc/{PARENT}/mem', 'rb'); escaped()"),
    "read the parent's environment": maybe("open(f'/proc/{PARENT}/environ').read(); escaped()"),
    "look into the parent's folder": maybe("os.listdir(f'/proc/{PARENT}/cwd/'); escaped()"),
    "read its own memory map": Attempt("open('/proc/self/maps').read(); escaped()"),
    "process_vm_readv": Attempt(
        "data = ctypes.create_string_buffer(b'x'); there = (ctypes.c_void_p * 2)()\n"
        "there[0], there[1] = ctypes.addressof(data), 1; here = (ctypes.c_void_p * 2)(*there)\n"
        "reached(call(310, 270), os.getpid(), here, 1, there, 1, 0)"
    ),
    "trace the parent": maybe("reached(call(101, 117), 0x4206, PARENT, 0, 0)"),
    "be traced": Attempt("reached(call(101, 117), 0, 0, 0, 0)"),
    "shared memory in /dev/shm": Attempt(
        "import tempfile; tempfile.NamedTemporaryFile(dir='/dev/shm'); escaped()"
    ),
    "shared memory of the library": Attempt(
        "from multiprocessing import shared_memory\n"
        "block = shared_memory.SharedMemory(create=True, size=8); escaped(); block.unlink()"
    ),
    "shared memory of System V": Attempt(
        "number = libc.shmget(0, 4096, 0o1600)\n"
        "if number >= 0: escaped(); libc.shmctl(number, 0, 0)"
    ),
    "message queue": maybe("reached(call(240, 180), b'falcon', 0, 0, 0)"),
    "anonymous file": Attempt("os.memfd_create('x'); escaped()"),
    "userfaultfd": maybe("reached(call(323, 282), 0)"),
}
"""Memory of others, and memory that nobody counts."""

PROCESSES = {
    "fork": Attempt("pid = os.fork()\nif pid == 0: os._exit(0)\nescaped()"),
    "fork past the C library": maybe(
        "pid = libc.syscall(call(57, None))\nif pid == 0: os._exit(0)\nif pid > 0: escaped()"
    ),
    "clone3": Attempt(
        "arguments = (ctypes.c_uint64 * 8)(0, 0, 0, 0, 17)\n"
        "pid = libc.syscall(435, arguments, 64)\nif pid == 0: os._exit(0)\nif pid > 0: escaped()"
    ),
    "a daemon": Attempt(
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: escaped()\n    os._exit(0)\n"
        "os.wait()"
    ),
    "a shell": Attempt("if os.system('true') == 0: escaped()"),
    "posix_spawn": Attempt("os.posix_spawn(ECHO, ['echo', 'ESCAPED'], {})"),
    "subprocess": Attempt("import subprocess; subprocess.run([ECHO, 'ESCAPED'])"),
    "another program": Attempt("os.execv(ECHO, ['echo', 'ESCAPED'])"),
    "a program of its own": Attempt(
        "import shutil; shutil.copy(ECHO, 'mine'); os.chmod('mine', 0o700)\n"
        "os.execv('./mine', ['echo', 'ESCAPED'])"
    ),
    "a program by descriptor": Attempt(
        "arguments = (ctypes.c_char_p * 3)(b'echo', b'ESCAPED', None)\n"
        "descriptor = os.open(ECHO, os.O_RDONLY)\n"
        "libc.syscall(call(322, 281), descriptor, b'', arguments, None, 0x1000)"
    ),
    "a program in memory": Attempt(
        "descriptor = os.memfd_create('x'); os.write(descriptor, open(ECHO, 'rb').read())\n"
        "os.execv(f'/proc/self/fd/{descriptor}', ['echo', 'ESCAPED'])"
    ),
    "signal the parent": Attempt("os.kill(PARENT, 0); escaped()"),
    "signal everybody": maybe("os.kill(-1, 0); escaped()"),
    "signal the group": Attempt("os.killpg(0, 0); escaped()"),
    "signal the parent's thread": Attempt("reached(call(234, 131), PARENT, PARENT, 0)"),
    "queue a signal": maybe("reached(call(129, 138), PARENT, 0, None)"),
    "signal by descriptor": Attempt("os.pidfd_open(PARENT); escaped()"),
    "let the kernel signal the parent": Attempt(
        "import fcntl; ends = os.pipe(); fcntl.fcntl(ends[0], 8, PARENT); escaped()"
    ),
    "survive the parent": Attempt("reached(call(157, 167), 1, 0, 0, 0, 0)"),
    "leave the session": maybe("os.setsid(); escaped()"),
    "run ahead of others": maybe("os.nice(-1); escaped()"),
    "change its priority": Attempt("os.nice(1); escaped()"),
    "choose processors": Attempt("os.sched_setaffinity(0, os.sched_getaffinity(0)); escaped()"),
    "choose a scheduler": Attempt(
        "os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0)); escaped()"
    ),
    "choose its share of the disk": Attempt("reached(call(251, 30), 1, 0, 0x6007)"),
    "limits of its own": Attempt(
        "import resource; resource.setrlimit(resource.RLIMIT_CPU, "
        "resource.getrlimit(resource.RLIMIT_CPU)); escaped()"
    ),
    "limits of the parent": Attempt(
        "import resource; resource.prlimit(PARENT, resource.RLIMIT_CPU); escaped()"
    ),
}
"""New processes, new programs, and influence on others."""

NETWORK = {
    "TCP": Attempt("import socket; socket.create_connection(('127.0.0.1', PORT)); escaped()"),
    "listen": Attempt("import socket; socket.create_server(('127.0.0.1', 0)); escaped()"),
    "UDP": Attempt(
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)"
        ".sendto(b'x', ('127.0.0.1', PORT)); escaped()"
    ),
    "IPv6": maybe("import socket; socket.socket(socket.AF_INET6); escaped()"),
    "a socket in a folder": Attempt(
        "import socket; socket.socket(socket.AF_UNIX).connect(OUTSIDE + '/socket'); escaped()"
    ),
    "an abstract socket": Attempt(
        "import socket; socket.socket(socket.AF_UNIX).connect('\\0' + SECRET); escaped()"
    ),
    "netlink": Attempt(
        "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW); escaped()"
    ),
    "raw packets": maybe(
        "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW); escaped()"
    ),
    "a pair that sends elsewhere": Attempt(
        "import socket; a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
        "a.sendto(b'x', OUTSIDE + '/datagrams'); escaped()"
    ),
    "a message with descriptors": Attempt(
        "import socket; a, b = socket.socketpair(); a.sendmsg([b'x']); escaped()"
    ),
    "io_uring": maybe("reached(425, 1, ctypes.create_string_buffer(120))"),
}
"""Ways to talk to anybody."""

KERNEL = {
    "a user namespace": maybe("if libc.unshare(0x10000000) == 0: escaped()"),
    "a mount namespace": maybe("if libc.unshare(0x20000) == 0: escaped()"),
    "a thread in a namespace": maybe("reached(call(56, 220), 0x10010000, 0, 0, 0, 0)"),
    "join a namespace": maybe("reached(call(308, 268), -1, 0)"),
    "mount": maybe("reached(call(165, 40), b'x', b'nowhere', b'tmpfs', 0, 0)"),
    "unmount": maybe("reached(call(166, 39), b'nowhere', 0)"),
    "change the root": maybe("os.chroot('.'); escaped()"),
    "become nobody": maybe("os.setuid(65534); escaped()"),
    "become itself": Attempt("os.setuid(os.getuid()); escaped()"),
    "gain capabilities": maybe(
        "header = (ctypes.c_uint32 * 2)(0x20080522, 0); data = (ctypes.c_uint32 * 6)()\n"
        "libc.capget(header, data)\nif data[0]: escaped()"
    ),
    "name the machine": maybe("reached(call(170, 161), 0, -1)"),
    "load a module": maybe("reached(call(175, 105), 0, 0, 0)"),
    "bpf": maybe("reached(call(321, 280), 0, 0, 0)"),
    "performance counters": maybe("reached(call(298, 241), 0, 0, -1, -1, 0)"),
    "keys": Attempt("reached(call(250, 219), 0, -3, 0)"),
    "add a key": maybe("reached(call(248, 217), 0, 0, 0, 0, 0)"),
    "personality": Attempt("reached(call(135, 92), 0xffffffff)"),
    "kernel's log": maybe("reached(call(103, 116), 10, 0, 0)"),
    "a terminal": maybe("os.openpty(); escaped()"),
    "type into the terminal": Attempt(
        "import fcntl\n"
        "try: fcntl.ioctl(0, 0x5412, b'x')\n"
        "except PermissionError: pass\n"
        "except OSError: escaped()"
    ),
    "calls of x32": Attempt("libc.syscall(call(0x40000027, None)); escaped()"),
    "calls of 32 bits": maybe(
        "import mmap\n"
        "code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)\n"
        "code.write(call(bytes.fromhex('b814000000cd80c3'), None))\n"
        "at = ctypes.addressof(ctypes.c_char.from_buffer(code))\n"
        "ctypes.CFUNCTYPE(ctypes.c_int)(at)(); escaped()"
    ),
}
"""What only the kernel's other doors would let through."""

ATTEMPTS = {**FILES, **MEMORY, **PROCESSES, **NETWORK, **KERNEL}
