"""The inside of the sandbox: this file is run by path, confines its own process, then runs the program.

Standard library only. Arguments: folder, seconds of processor time, MiB of memory, and two descriptors: of a
secret with the program behind it, and of where it is shown that the program came to its end.
See synth_assets.resources.sandbox.python for what each layer holds off.
"""

from __future__ import annotations

import _blake2
import builtins
import ctypes
import os
import resource
import signal
import struct
import sys
from typing import Any, NoReturn

OUT_OF_MEMORY, FORBIDDEN = 97, 98  # exit codes
SECRET_BYTES = 32
FILE_BYTES = 16 * 2**20  # of one file, and of what is printed
FOLDER_BYTES = 64 * 2**20
SYSTEM_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo")
ANSWERS = {"allow": 0x7FFF0000, "EPERM": 0x00050001, "ENOSYS": 0x00050026}
# Processes, other processes, programs, networks, new privileges, memory that no limit counts,
# the rights and times of files.
# From number 424 on the two tables are one.
DENIED = {
    "x86_64": (
        *(57, 58, 59, 322),  # fork, vfork, execve, execveat
        *(62, 129, 200, 234, 297, 101, 310, 311, 312, 302),  # kill and its kin, ptrace, process_vm, prlimit64
        *(109, 112, 135, 141, 142, 144, 203, 251, 256, 279, 314),  # sessions, priorities, pages of others
        *(41, 42, 49, 50),  # socket, connect, bind, listen
        *(161, 165, 272, 308, 321, 298, 323, 248, 249, 250, 303, 304),  # chroot, mount, unshare, bpf, keys
        *(29, 64, 68, 240, 319),  # shared memory, semaphores, queues, memfd
        *(90, 91, 268, 92, 93, 94, 260),  # chmod, chown and their kin: landlock does not know them
        *(132, 235, 261, 280, 188, 189, 190, 197, 198, 199),  # utime, setxattr, removexattr and their kin
    ),
    "aarch64": (
        *(221, 281),
        *(129, 138, 130, 131, 240, 117, 270, 271, 272, 261),
        *(154, 157, 92, 140, 118, 119, 122, 30, 238, 239, 274),
        *(198, 203, 200, 201),
        *(51, 40, 97, 268, 280, 241, 282, 217, 218, 219, 264, 265),
        *(194, 190, 186, 180, 279),
        *(52, 53, 54, 55),
        *(88, 5, 6, 7, 14, 15, 16),
    ),
}
CLONE = {"x86_64": (0xC000003E, 56), "aarch64": (0xC00000B7, 220)}  # audit architecture, number of clone
FORBIDDEN_EVENTS = (
    *("socket.", "subprocess.", "ctypes.", "pty.", "syslog.", "resource.", "webbrowser.", "winreg."),
    *("os.fork", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.startfile", "os.kill"),
    *("signal.pthread_kill", "sqlite3.enable_load_extension", "sys.settrace"),
)
READS = ("os.listdir", "os.scandir", "os.chdir", "os.walk", "os.fwalk", "os.getxattr", "os.listxattr")
WRITES = (
    *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"),
    *("os.chown", "os.chflags", "os.utime", "os.setxattr", "os.removexattr", "os.mkfifo", "sqlite3.connect"),
)


def limit(seconds: int | None, memory_mib: int) -> None:
    """Limits of the kernel for one process; a program cannot raise them again. Without `seconds`, for a
    process that keeps its own time: in a thread, which NPROC would keep from a user with other processes."""
    limits = {"AS": memory_mib * 2**20, "FSIZE": FILE_BYTES}
    limits |= {"CPU": seconds, "NPROC": 64} if seconds else {}
    for name, value in {**limits, "NOFILE": 64, "CORE": 0}.items():
        number = getattr(resource, f"RLIMIT_{name}")
        hard = value + 1 if name == "CPU" else value  # the soft limit tells why, the hard one kills
        most = resource.getrlimit(number)[1]
        hard = hard if most == resource.RLIM_INFINITY else min(hard, most)
        try:
            resource.setrlimit(number, (min(value, hard), hard))
        except ValueError:  # macOS knows the limit of memory, and refuses to set it
            if sys.platform == "linux":
                raise


def namespaces(libc: Any, folder: str) -> bool:
    """No network, no memory shared with others, and the folder in memory with a limit of its own."""
    user, mounts, ipc, net = 0x10000000, 0x00020000, 0x08000000, 0x40000000
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(user | mounts | ipc | net):
        return False
    try:
        ids = {"setgroups": "deny", "uid_map": f"{uid} {uid} 1", "gid_map": f"{gid} {gid} 1"}
        for name, text in ids.items():
            with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123
                file.write(text)
    except OSError:  # some systems grant the namespace, and no rights in it
        return False
    flags = 0x2 | 0x4 | 0x8  # nosuid, nodev, noexec
    size = f"size={FOLDER_BYTES},nr_inodes=1000,mode=700".encode()
    return libc.mount(b"tmpfs", folder.encode(), b"tmpfs", flags, size) == 0


def drop_privileges(libc: Any) -> bool:
    """No capability is left, and none can be won: what root may, this process may not."""
    header, none = struct.pack("Ii", 0x20080522, 0), bytes(24)
    return libc.prctl(38, 1, 0, 0, 0) == 0 and libc.capset(header, none) == 0


def landlock(libc: Any, folder: str, readable: list[str]) -> bool:
    """Files: the folder may be changed, `readable` read, nothing else opened. No TCP, no signals."""
    version = libc.syscall(444, None, 0, 1)
    if version < 1:
        return False
    files = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
    rules = struct.pack("QQQ", files, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    ruleset = libc.syscall(444, rules, len(rules), 0)
    if ruleset < 0:
        return False
    read, change = 0b1100, 0b0111_0001_1011_1110 & files  # change: no execution, devices, sockets, pipes
    for path, access in [(folder, change), *((p, read) for p in readable)]:
        try:
            place = os.open(path, os.O_PATH)
        except OSError:  # this system has no such folder
            continue
        held = libc.syscall(445, ruleset, 1, struct.pack("=Qi", access, place), 0) == 0
        os.close(place)
        if not held:
            return False
    held = libc.syscall(446, ruleset, 0) == 0
    os.close(ruleset)
    return held


def seccomp(libc: Any) -> bool:
    """The system calls of DENIED fail. Threads are allowed, processes are not."""
    machine = os.uname().machine
    if machine not in CLONE or sys.maxsize < 2**32:  # 32 bits have other numbers
        return False
    architecture, clone = CLONE[machine]
    load, equal, at_least, has, answer = 0x20, 0x15, 0x35, 0x45, 0x06
    lines = [
        (load, 0, 0, 4),
        (equal, 1, 0, architecture),
        (answer, 0, 0, ANSWERS["EPERM"]),
        (load, 0, 0, 0),
        (at_least, 0, 1, 424),  # newer than Linux 5.0: as if the kernel did not know it, libraries fall back
        (answer, 0, 0, ANSWERS["ENOSYS"]),
    ]
    for number in DENIED[machine]:
        lines += [(equal, 0, 1, number), (answer, 0, 0, ANSWERS["EPERM"])]
    lines += [
        (equal, 0, 3, clone),
        (load, 0, 0, 16),  # its first argument: the flags
        (has, 1, 0, 0x00010000),  # CLONE_THREAD
        (answer, 0, 0, ANSWERS["EPERM"]),
        (answer, 0, 0, ANSWERS["allow"]),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    program = struct.pack("HxxxxxxP", len(lines), ctypes.addressof(code))
    return libc.prctl(22, 2, program, 0, 0) == 0


def confine(folder: str, readable: list[str]) -> tuple[str, ...]:
    """Every layer that this machine grants without root; their names."""
    held = []
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.syscall.restype = ctypes.c_long
        if namespaces(libc, folder):
            held.append("namespaces")
        os.chdir(folder)  # again: another file system may lie on it now
        if drop_privileges(libc):
            libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # it ends with who started it, also where that is killed
            held += ["landlock"] if landlock(libc, folder, readable) else []
            held += ["seccomp"] if seccomp(libc) else []
    return (*held, "limits", "audit")


def refuse(what: str) -> NoReturn:
    """End at once, so that no `except` of the program hides the attempt."""
    os.write(2, f"\nforbidden: {what}\n".encode())
    os._exit(FORBIDDEN)


def audit(folder: str, readable: list[str]) -> None:
    """Refuse in words, on every system, what the kernel's layers refuse where there are any."""
    real, fsdecode, inside = os.path.realpath, os.fsdecode, (folder + os.sep, *(r + os.sep for r in readable))

    def check(path: Any, roots: tuple[str, ...]) -> None:
        if isinstance(path, str | bytes | os.PathLike):
            full = real(fsdecode(path)) + os.sep
            if fsdecode(path) != ":memory:" and not full.startswith(roots):
                refuse(f"the file {fsdecode(path)!r} is outside of the program's folder")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(FORBIDDEN_EVENTS):
            refuse(event)
        elif event == "open":
            writes = arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
            check(arguments[0], inside[:1] if writes else inside)
        elif event in READS or event in WRITES:
            for path in arguments[:2]:
                check(path, inside[:1] if event in WRITES else inside)

    sys.addaudithook(hook)


def run(program: str, names: dict[str, Any], secret: bytes, reached: int) -> int:
    """Exit code of the program; what went wrong is the last line on standard error. Where its last line was
    reached, the hash of the secret is written: nothing that is there while it runs is that hash."""
    write, digest = os.write, _blake2.blake2b  # the program may put others in their place
    try:
        exec(compile(program, "<program>", "exec"), names)
        write(reached, digest(secret).digest())
        sys.stdout.flush()
    except SystemExit as end:
        if end.code is None or end.code == 0:
            return 0
        return report("SystemExit", str(end.code), None, 1)
    except MemoryError:
        return report("MemoryError", "more memory than the limit", None, OUT_OF_MEMORY)
    except BaseException as error:
        denied = isinstance(error, PermissionError)
        return report(type(error).__name__, str(error), error, FORBIDDEN if denied else 1)
    return 0


def report(name: str, message: str, error: BaseException | None, code: int) -> int:
    """Write one line with the program's own line number; the exit code again."""
    line = None  # of a SyntaxError, its own text has it
    place = error.__traceback__ if error else None
    while place:
        if place.tb_frame.f_code.co_filename == "<program>":
            line = place.tb_lineno
        place = place.tb_next
    text = f"{name}: {message}" if message else name
    text = " ".join(text.split())[:500] + (f" (line {line})" if line else "")
    os.write(2, f"\n{text}\n".encode("utf-8", "backslashreplace"))
    return code


def main() -> None:
    """Confine this process, then run the program."""
    folder, seconds, memory_mib, descriptor, reached = sys.argv[1], *map(int, sys.argv[2:6])
    with os.fdopen(descriptor, "rb") as file:
        secret, program = file.read(SECRET_BYTES), file.read().decode("utf-8", "surrogatepass")
    limit(seconds, memory_mib)
    library = os.path.dirname(os.path.realpath(os.__file__))  # noqa: PTH120
    readable = [library, *(os.path.realpath(p) for p in SYSTEM_LIBRARIES)]
    layers = confine(folder, readable)
    os.environ.clear()
    sys.argv[:] = ["program"]
    builtins.exit = builtins.quit = sys.exit  # type: ignore[assignment]
    audit(folder, readable)
    names = {"__name__": "__main__", "__builtins__": builtins, "__layers__": layers}
    sys.exit(run(program, names, secret, reached))


if __name__ == "__main__":
    main()
