"""Is this machine one that a bundle can run on? Asked before any work, with nothing but Python itself.

Any Python reads this file, so that a wrong one is told so: it is the one file of the kit without newer syntax
and without imports from the kit. ``python - bundle.json [node.json] < node.py``
"""

import importlib.util
import json
import os
import shutil
import sys

GIB = 2.0**30
CGROUP = "/sys/fs/cgroup"
GROUPS = "/proc/self/cgroup"


def facts():
    """What this machine has: versions, the card, GiB of memory and disk that are free."""
    found = {
        "python": ".".join(str(part) for part in sys.version_info[:2]),
        "pip": importlib.util.find_spec("pip") is not None,
        "memory_gib": free_memory() / GIB,
        "disk_gib": shutil.disk_usage(os.getcwd()).free / GIB,
        "torch": None,
        "cards": [],
    }
    try:
        import torch
    except Exception as error:  # a broken installation fails in any way
        found["torch_error"] = f"{type(error).__name__}: {error}"
        return found
    found["torch"] = torch.__version__
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            free = torch.cuda.mem_get_info(index)[0] / GIB
            found["cards"].append((torch.cuda.get_device_name(index), free))
    return found


def free_memory():
    """Bytes that may still be taken: of the machine, or of a job or container where that is less."""
    free = float("inf")
    with open("/proc/meminfo") as lines:
        for line in lines:
            if line.startswith("MemAvailable:"):
                free = float(line.split()[1]) * 1024
    for folder, most, used in control_groups():
        limit, taken = number(os.path.join(folder, most)), number(os.path.join(folder, used))
        if limit is not None and taken is not None:
            free = min(free, limit - taken + cached(os.path.join(folder, "memory.stat")))
    return free


def control_groups():
    """Folders of the groups that this process is in, inner ones first, with their files of limit and use."""
    found = []
    if not os.path.exists(GROUPS):
        return found
    with open(GROUPS) as lines:
        for line in lines:
            _, kinds, path = line.strip().split(":", 2)
            if kinds == "":
                root, files = CGROUP, ("memory.max", "memory.current")
            elif "memory" in kinds.split(","):
                root = os.path.join(CGROUP, "memory")
                files = ("memory.limit_in_bytes", "memory.usage_in_bytes")
            else:
                continue
            parts = [part for part in path.split("/") if part]
            for depth in range(len(parts), -1, -1):
                found.append((os.path.join(root, *parts[:depth]), *files))
    return found


def number(path):
    """The number in a file; None where there is no file, or none in it."""
    if not os.path.exists(path):
        return None
    with open(path) as file:
        text = file.read().strip()
    return float(text) if text.isdigit() else None


def cached(path):
    """Bytes of files that a group has in memory and would give back."""
    if os.path.exists(path):
        with open(path) as lines:
            for line in lines:
                if line.startswith(("inactive_file ", "total_inactive_file ")):
                    return float(line.split()[1])
    return 0.0


def problems(needs, have):
    """What is wrong, one sentence each; nothing where all is well."""
    wrong = []
    if have["python"] != needs["python"]:
        words = "this is Python {}, the wheels are for {}: set PYTHON to one, or bundle with --python {}"
        wrong.append(words.format(have["python"], needs["python"], have["python"]))
    if not have["pip"]:
        wrong.append("this Python has no pip, which unpacks the wheels")
    if have["torch"] is None:
        wrong.append("torch cannot be imported ({})".format(have.get("torch_error")))
    elif version(have["torch"]) < version(needs["torch"]):
        wrong.append("torch is {}, at least {} is needed".format(have["torch"], needs["torch"]))
    if needs["cuda"] and have["torch"] is not None:
        if not have["cards"]:
            wrong.append("torch finds no CUDA device here")
        elif max(free for _, free in have["cards"]) < needs["gpu_gib"]:
            free = ", ".join("{} {:.1f}".format(*card) for card in have["cards"])
            wrong.append("GiB free on the card: {}; {:g} are needed".format(free, needs["gpu_gib"]))
    for key, words in (("memory_gib", "memory"), ("disk_gib", "disk")):
        if have[key] < needs[key]:
            wrong.append(f"{have[key]:.1f} GiB of {words} are free, {needs[key]:g} are needed")
    return wrong


def version(text):
    """The numbers that a version starts with: 2.11.0+cu130 is (2, 11, 0)."""
    numbers = []
    for part in text.split("+")[0].split("."):
        digits = "".join(letter for letter in part if letter.isdigit())
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)


def main():
    """Exit status 2, and every problem, where the machine will not do; else what it has, into node.json."""
    with open(sys.argv[1]) as file:
        needs = json.load(file)["needs"]
    have = facts()
    wrong = problems(needs, have)
    for problem in wrong:
        sys.stderr.write(f"this machine will not do: {problem}\n")
    if wrong:
        return 2
    if len(sys.argv) > 2:
        with open(sys.argv[2], "w") as file:
            json.dump(have, file)
    cards = ", ".join(name for name, _ in have["cards"]) or "no card"
    words = "Python {python}, torch {torch}, {memory_gib:.0f} GiB of memory and {disk_gib:.0f} of disk free, "
    print(words.format(**have) + cards)
    return 0


if __name__ == "__main__":
    sys.exit(main())
