"""What the sandboxed process does: it shuts itself in, sees that it is, and runs the program.

Started by `sandbox.runner` as a script, by whatever Python a workspace uses (3.8 or newer). It
imports as little as it can: nothing of ours, and nothing that costs milliseconds.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import sys
import time
import types

NO_NEW_PRIVILEGES, PARENT_DEATH_SIGNAL, SECCOMP, SECCOMP_FILTER = 38, 1, 22, 2
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
PATH_BENEATH = 1
CAPABILITIES_VERSION = 0x2008_0522
AF_INET, SOCK_STREAM = 2, 1
KILL = 9

libc = ctypes.CDLL(None, use_errno=True)


class Program(ctypes.Structure):
    """``struct sock_fprog``: how many instructions of eight bytes there are, and where."""

    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


class PathBeneath(ctypes.Structure):
    """``struct landlock_path_beneath_attr``."""

    _fields_ = (("access", ctypes.c_uint64), ("parent", ctypes.c_int32))


def main() -> None:
    """Read the order on standard input, shut the process in, and run the program."""
    order = eval(sys.stdin.buffer.read(), {"__builtins__": {}})  # noqa: S307 - our parent wrote it
    report, memory = order["report"], os.open("/proc/self/status", os.O_RDONLY)
    quiet = os.open(os.devnull, os.O_RDONLY)
    os.dup2(quiet, 0)
    os.close(quiet)
    try:
        shut_in(order)
        see_that_it_holds()
    except BaseException as error:  # noqa: BLE001 - whatever failed, the program must not run
        os.write(report, f"refused\n{error}\n".encode())
        os._exit(1)
    os.write(report, b"restricted\n")
    finished = False
    try:
        finished = run(order)
    finally:
        lines = os.pread(memory, 4096, 0).split(b"\n")
        peak = next((int(line.split()[1]) for line in lines if line.startswith(b"VmHWM")), 0)
        word = order["secret"] if finished else "-"
        os.write(report, f"{word} {peak} {time.process_time_ns()}\n".encode())
    sys.exit(0 if finished else 1)


def shut_in(order: dict) -> None:  # type: ignore[type-arg]
    """Give up, for good, what the program does not need; raises `OSError` if that fails."""
    if order["parent"]:
        call("prctl", PARENT_DEATH_SIGNAL, KILL, 0, 0, 0)
        if os.getppid() != order["parent"]:
            raise OSError(errno.ESRCH, "the process that asked for the program is gone")
    for name, value in order["limits"].items():
        resource.setrlimit(getattr(resource, name), value)
    call("prctl", NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    drop_capabilities()
    confine_files(order["landlock"], order["rules"])
    filter_calls(*order["filter"])


def drop_capabilities() -> None:
    """Keep none, also as root; without new programs there is no way to get one back."""
    header = (ctypes.c_uint32 * 2)(CAPABILITIES_VERSION, 0)
    call("capset", header, (ctypes.c_uint32 * 6)())


def confine_files(attributes: list, rules: list) -> None:  # type: ignore[type-arg]
    """Refuse every file that no rule names (Landlock), TCP, and what is outside."""
    handled = (ctypes.c_uint64 * len(attributes))(*attributes)
    ruleset = system_call(CREATE_RULESET, handled, ctypes.c_size_t(ctypes.sizeof(handled)), 0)
    for path, access in rules:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = PathBeneath(access, parent)
        system_call(ADD_RULE, ruleset, PATH_BENEATH, ctypes.byref(rule), 0)
        os.close(parent)
    system_call(RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def filter_calls(code: bytes, own_ids: list) -> None:  # type: ignore[type-arg]
    """Refuse every system call that the filter does not know (seccomp).

    ``own_ids`` are the offsets at which the filter waits for this process's id.
    """
    filled = bytearray(code)
    for at in own_ids:
        filled[at : at + 4] = os.getpid().to_bytes(4, "little")
    program = Program(len(code) // 8, bytes(filled))
    call("prctl", SECCOMP, SECCOMP_FILTER, ctypes.byref(program), 0, 0)


def see_that_it_holds() -> None:
    """Try what must fail: to list the root folder, and to make a socket."""
    try:
        os.close(os.open("/", os.O_RDONLY | os.O_DIRECTORY))
    except PermissionError:
        pass
    else:
        raise OSError("Landlock is set up and does not hold")
    if libc.socket(AF_INET, SOCK_STREAM, 0) >= 0 or ctypes.get_errno() != errno.EPERM:
        raise OSError("seccomp is set up and does not hold")


def run(order: dict) -> bool:  # type: ignore[type-arg]
    """Run the script or module; return whether its last line was reached."""
    sys.argv = [order["target"], *order["arguments"]]
    sys.path[:1] = order["path"]
    if order["packages"]:
        import site

        site.main()
    if order["module"]:
        import runpy

        runpy.run_module(order["target"], run_name="__main__", alter_sys=True)
        return True
    with open(order["target"], "rb") as file:  # noqa: PTH123 - pathlib takes milliseconds
        source = file.read()
    module = types.ModuleType(order["name"])
    module.__file__ = order["target"]
    sys.modules[order["name"]] = module
    try:
        exec(compile(source, order["target"], "exec"), vars(module))  # noqa: S102 - our purpose
    except Exception as error:  # noqa: BLE001 - the program's own
        trace = error.__traceback__  # starts here, which is none of the program's business
        sys.excepthook(type(error), error.with_traceback(trace and trace.tb_next), None)
        return False
    return True


def call(name: str, *arguments: object) -> None:
    """Call a function of the C library; raises `OSError`."""
    if getattr(libc, name)(*arguments) != 0:
        failed(name)


def system_call(number: int, *arguments: object) -> int:
    """Make a system call that the C library has no name for; raises `OSError`."""
    result: int = libc.syscall(number, *arguments)
    if result < 0:
        failed("landlock")
    return result


def failed(name: str) -> None:
    """Raise the error that the last call left."""
    code = ctypes.get_errno()
    raise OSError(code, f"{name}: {os.strerror(code)}")


if __name__ == "__main__":
    main()
