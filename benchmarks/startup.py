"""Start-up: `python -m benchmarks.startup` prints cold and warm start, and what each kernel costs to compile.

Every figure is a fresh process. Cold: an empty compile cache. Warm: the cache of the cold one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time

PARTS = """
import json, time
clock = [time.perf_counter()]
def lap():
    clock.append(time.perf_counter())
    return clock[-1] - clock[-2]
figures = {}
import abm
figures["import abm"] = lap()
from abm import MarketModel
figures["import the model (Mesa, Numba)"] = lap()
from numba.core import event
spent = {}
class Listener(event.Listener):
    def on_start(self, ev):
        spent[id(ev.data["dispatcher"])] = [ev.data["dispatcher"].py_func.__qualname__, time.perf_counter()]
    def on_end(self, ev):
        name, begin = spent.pop(id(ev.data["dispatcher"]))
        kernels[name] = kernels.get(name, 0.0) + time.perf_counter() - begin
kernels = {}
listener = Listener()
event.register("numba:compile", listener)
lap()
news = [{"name": "shock", "at": "20:40:05", "change_percent": -20}]
model = MarketModel("tiny", accounts=2500, duration_s=60, news=news, makers__depth_coins=300)
figures["build the model"] = lap()
model.step()
figures["first tick"] = lap()
model.run()
figures["59 more ticks"] = lap()
print(json.dumps({"figures": figures, "kernels": kernels}))
"""


def fresh(cache: str) -> dict[str, dict[str, float]]:
    """Run the parts in a new process with this cache."""
    surroundings = os.environ | {"DELEVERAGE_CACHE": cache}
    done = subprocess.run([sys.executable, "-c", PARTS], env=surroundings, capture_output=True, text=True, check=True)
    found: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def whole_command(cache: str, accounts: int = 20_000) -> float:
    """Seconds of `deleverage run october-2025` in a new process, from the start to its picture."""
    program = "from abm.cli import main; import sys; sys.exit(main())"
    with tempfile.TemporaryDirectory() as folder:
        command = ["run", "october-2025", "--accounts", str(accounts), "--out", f"{folder}/run"]
        begin = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", program, *command],
            env=os.environ | {"DELEVERAGE_CACHE": cache}, capture_output=True, check=True,
        )  # fmt: skip
        return time.perf_counter() - begin


def main() -> None:
    with tempfile.TemporaryDirectory() as cache:
        cold, warm = fresh(cache), fresh(cache)
    print(f"{'seconds':<36}{'cold':>8}{'warm':>8}")
    for name in cold["figures"]:
        print(f"{name:<36}{cold['figures'][name]:8.2f}{warm['figures'][name]:8.2f}")
    print(f"{'total':<36}{sum(cold['figures'].values()):8.2f}{sum(warm['figures'].values()):8.2f}")
    # A kernel's time holds that of the scalar helpers compiled on the way.
    print(f"\n{'compiled when cold':<36}{'seconds':>8}")
    for name, seconds in sorted(cold["kernels"].items(), key=lambda item: -item[1]):
        if seconds >= 0.05:
            print(f"{name:<36}{seconds:8.2f}")


if __name__ == "__main__":
    main()
