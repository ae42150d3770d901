"""A kill at any moment of saving leaves the last checkpoints whole."""

import json
import sys
from pathlib import Path

from .. import forked

SCRIPT = '''
"""Save five checkpoints, killed once at each moment that the file system is touched."""

import json, os, resource, signal, sys
from pathlib import Path
import torch
from wsol.training.checkpoint import checkpoints, load_last, save_checkpoint

EVENTS = ("open", "os.rename", "os.remove", "os.mkdir")
root, steps = Path(sys.argv[1]), 5
torch.set_num_threads(1)

def state(step):
    return {"step": step, "w": torch.full((500,), float(step))}

def sound(found):
    return found is not None and torch.equal(found["w"], state(found["step"])["w"])

def run(folder, moment=None, largest=None):
    """Fork; save in the child, which is killed; return how many saves it had finished."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        moments = 0
        def watch(event, arguments):
            nonlocal moments
            if event in EVENTS and folder.name in str(arguments[0]):
                if moments == moment:
                    os.kill(os.getpid(), signal.SIGKILL)
                moments += 1
        sys.addaudithook(watch)
        if largest is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
        for step in range(1, steps + 1):
            save_checkpoint(folder, step, state(step))
            os.write(writer, b"1")
        os._exit(0)
    os.close(writer)
    done = b"".join(iter(lambda: os.read(reader, 100), b""))
    os.close(reader)
    return len(done), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def judge(folder, done):
    """Return what is wrong with what a kill has left, after going on from it."""
    last = load_last(folder)
    if done and not (sound(last) and last["step"] in (done, done + 1)):
        return f"after {done} saves the last is {last and last['step']}"
    whole = sum(sound(torch.load(path, weights_only=True)) for path in checkpoints(folder))
    if whole < min(done, 2):
        return f"after {done} saves only {whole} are whole"
    for step in range(last["step"] + 1 if last else 1, steps + 1):
        save_checkpoint(folder, step, state(step))
    # One too many stays until the next save, where only its removal was left to do.
    names = sorted(path.name for path in folder.iterdir())
    good = names[-2:] == ["step_00000004.pt", "step_00000005.pt"] and len(names) <= 3
    return None if good and names[0].startswith("step_") else f"left {names}"

faults, kills = [], 0
for kind, tries in (("moment", range(1000)), ("largest", range(0, 4000, 250))):
    for number in tries:
        folder = root / f"{kind}-{number}"
        done, status = run(folder, **{kind: number})
        kills += status < 0
        if status == 0:
            break
        folder.mkdir(exist_ok=True)
        fault = judge(folder, done)
        if fault:
            faults.append(f"{folder.name}: {fault}")
print(json.dumps([kills, faults]))
'''


def test_a_kill_at_any_moment_of_saving_loses_nothing(tmp_path: Path) -> None:
    """Before each file is opened, renamed or removed, and in the middle of writing one."""
    done = forked.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    kills, faults = json.loads(done.stdout)
    assert faults == []
    assert kills > 25
