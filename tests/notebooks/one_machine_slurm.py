"""A real Slurm of this machine alone, in a folder of its own: munged, slurmctld, slurmd, one partition."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch")
CONF = """\
ClusterName=kit
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
KillWait=20
MinJobAge=3600
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Why there can be no Slurm here, empty where there can."""
    absent = [name for name in DAEMONS if not shutil.which(name, path=_path())]
    if absent:
        return f"{', '.join(absent)} not installed: apt-get install slurm-wlm munge"
    return "" if os.geteuid() == 0 else "its daemons need root"


@contextmanager
def running_slurm(folder: Path) -> Iterator[dict[str, str]]:
    """While open, Slurm runs; gives the variables by which its commands find it.

    Raises:
        RuntimeError: it did not start; the message ends with the logs.
    """
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    host = socket.gethostname().partition(".")[0]
    conf = folder / "slurm.conf"
    memory = max(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20 - 500, 500)
    cpus = os.cpu_count()
    conf.write_text(CONF.format(host=host, folder=folder, ports=_free_ports(), cpus=cpus, memory=memory))
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o400)
    environment = os.environ | {"SLURM_CONF": str(conf), "PATH": _path()}
    own = (
        ("key-file", "key"),
        ("socket", "socket"),
        ("pid-file", "pid"),
        ("log-file", "log"),
        ("seed-file", "seed"),
    )
    commands = (
        ["munged", "--foreground", "--force", *(f"--{name}={folder}/munge.{end}" for name, end in own)],
        ["slurmctld", "-D", "-f", str(conf)],
        ["slurmd", "-D", "-f", str(conf)],
    )
    daemons = []
    try:
        for command in commands:
            with open(folder / f"{command[0]}.said", "wb") as said:
                daemons.append(
                    subprocess.Popen(
                        command, env=environment, stdout=said, stderr=said, start_new_session=True
                    )
                )
            time.sleep(1)
        _wait_for_node(environment, folder)
        yield {name: environment[name] for name in ("SLURM_CONF", "PATH")}
    finally:
        for daemon in reversed(daemons):
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def job_state(job: str) -> str:
    """State of a job as the controller tells it, such as RUNNING; empty once it is forgotten."""
    said = subprocess.run(["scontrol", "-o", "show", "job", job], capture_output=True, text=True).stdout
    return said.partition("JobState=")[2].partition(" ")[0]


def _wait_for_node(environment: dict[str, str], folder: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        done = subprocess.run(
            ["sinfo", "--noheader", "--format=%T"], env=environment, capture_output=True, text=True
        )
        if done.stdout.strip() == "idle":
            return
        time.sleep(0.5)
    logs = [path.read_text(errors="replace")[-800:] for path in folder.glob("*.log")]
    raise RuntimeError("\n".join(["Slurm has no idle node after a minute", done.stdout, done.stderr, *logs]))


def _free_ports() -> list[int]:
    sockets = [socket.socket() for _ in range(2)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _path() -> str:
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
