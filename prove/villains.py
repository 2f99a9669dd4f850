"""A framework that does what it is told: well, or one of the things that go wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TOML = """
name = "villain"
description = "does what it is told"
python = ">=3.11,<3.14"
environment = "random-forest"
version_of = "numpy"
preload = ["numpy", "pandas"]
"""
ADAPTER = """
import glob, json, os, subprocess, sys, threading, time
import numpy as np

def try_to(do, *arguments):
    try:
        do(*arguments)
    except OSError:
        pass

def fit(train, problem, limits):
    deed = problem.params["deed"]
    if deed == "raise":
        raise RuntimeError("no such luck <b>today</b>")
    if deed == "crash":
        os.abort()
    if deed == "tree":
        subprocess.run([sys.executable, problem.params["nasty"], problem.params["mark"]])
    if deed == "eat":
        child = os.fork()
        eaten = []
        for _ in range(40):
            eaten.append(bytearray(50_000_000))
            if 2 * 50 * len(eaten) > limits.memory_mb + 100:
                time.sleep(60)  # A watchdog that is late has time.
        os.waitpid(child, 0) if child else time.sleep(600)
    if deed == "sleep":
        time.sleep(600)
    if deed == "plant":
        with open("/dev/shm/" + problem.params["mark"], "w") as file:
            file.write("left")
        work, home = os.getcwd(), problem.params["home"]
        os.makedirs("closed/inner")
        os.chmod("closed", 0)
        for _ in range(1500):
            os.mkdir("deep")
            os.chdir("deep")
        os.chdir(work)
        for place in ("link", "../link", "../../link", "../../abcdefgh"):
            try_to(os.symlink, home, place)
        try_to(os.rename, work, work + "-moved")
        try_to(os.symlink, home, work)
    if deed == "leave":
        with open("%s/%d" % (problem.params["outcomes"], problem.seed)) as file:
            form, text = json.load(file)
        if form == "pipe":
            os.mkfifo("outcome.json")
        elif form == "folder":
            os.mkdir("outcome.json")
        elif form == "link":
            os.symlink(text, "outcome.json")
        elif form == "none":
            return deed
        else:
            with open("outcome.json", "w") as file:
                file.write(text)
                if form == "sparse":
                    file.truncate(40 << 30)
        os._exit(0)
    if deed == "damage":
        for file in glob.glob("../../*/*.*"):
            try_to(os.chmod, file, 0o600)
            try_to(os.truncate, file, 0)
    if deed == "work":
        time.sleep(problem.params["seconds"])
    return deed

def predict(model, frame, problem):
    rows = len(frame)
    if model == "nonsense":
        return {"predictions": ["?"], "probabilities": None, "classes": None}
    if problem.type == "regression":
        return {"predictions": np.zeros(rows), "probabilities": None, "classes": None}
    share = np.full((rows, len(problem.classes)), 1 / len(problem.classes))
    return {"predictions": [problem.classes[0]] * rows, "probabilities": share,
            "classes": problem.classes}

def describe(model):
    return {"models": 1, "leaderboard": None, "version": "1"}
"""


def villains(folder: Path, *deeds: str, **params: Any) -> dict[str, Any]:
    """Write the framework below a folder; the configuration's keys for one framework a deed."""
    place = folder / "mine" / "villain"
    place.mkdir(parents=True)
    (place / "framework.toml").write_text(TOML)
    (place / "adapter.py").write_text(ADAPTER)
    return {
        "frameworks_path": [str(folder / "mine")],
        "frameworks": [
            {"name": "villain", "as": deed, "params": {"deed": deed, **params}} for deed in deeds
        ],
    }
