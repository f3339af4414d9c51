"""Killed at random moments, a run that saves at every step leaves a whole state, and ends with the bits of one never killed."""

import re
import subprocess
import sys
from pathlib import Path

import isoparam as iso
from isoparam.checkpoints.store import read

ROOT = Path(__file__).parent.parent.parent


def test_twenty_kills():
    command = [sys.executable, "-m", "benchmarks.kills", "--kills", "20", "--backend", "torch"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert re.match(r"torch: 20 processes killed, every state they left was whole, and \d+ runs", done.stdout)


PRESSED = """
import os, signal, sys, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what it runs in the background with SIGINT ignored
sys.argv = ["isoparam", "train", "linkage", "--backend", "torch", "--optimizer", "adam", "--steps", "100000000",
            "--checkpoint", sys.argv[1], "--checkpoint-every", "1000"]
from threading import Thread

def press(folder):
    while not (folder / "previous.json").exists():  # two states are saved
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)

Thread(target=press, args=(Path(sys.argv[-3]),), daemon=True).start()
from isoparam.cli import main
main()
"""


def test_ctrl_c_on_the_command_line_is_one_message_and_the_run_goes_on(tmp_path):
    done = subprocess.run([sys.executable, "-c", PRESSED, tmp_path], capture_output=True, text=True, timeout=300)
    assert done.returncode == 130, done.stderr
    stored = read(tmp_path)
    step = stored.settings["step"]
    lines = done.stderr.splitlines()
    assert lines[-1].startswith(f"interrupted after step {step} of 100000000; saved in {str(tmp_path)!r}: isoparam.resume")
    assert lines[-1].endswith(f"isoparam resume {tmp_path} --backend torch, goes on")
    assert stored.settings["stopped"] == "interrupted"
    assert iso.resume(tmp_path, "torch", steps=3).steps == step + 3
