#!/usr/bin/env python3
"""Holds what tests/gpu/acceptance.sh printed against what GPUs must show.

  acceptance_bars.py LOG...   LOG  the output of acceptance.sh, of one or several runs

Prints a line for each bar that the stages in the logs allow to judge; exits with 1 where one is missed,
or where nothing could be judged.
"""

import collections
import json
import math
import re
import sys

UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


class Log:
    def __init__(self, lines):
        self.digests = collections.defaultdict(list)  # stage: digests
        self.bench = {}  # name: {stage: (seconds, tokens/s, TFLOP/s, TFLOP/s a GPU)}
        self.memory = []  # (stage, used, planned) in bytes
        self.seconds = {}  # stage: of its last job
        self.exits = []  # (test, exit code)
        self.yardstick = None
        self.profiles = {}  # name: what `fp8cal profile --json` printed
        self.decoded = []  # (cache, tokens, mean nats off whole windows)
        stage = name = profile = None
        for line in lines:
            if line.startswith("==== "):
                stage, name = line[5:].strip(), None
            elif found := re.match(r"-- bench (\S+):", line):
                name = found[1]
                self.bench[name] = {}
            elif found := re.match(r"content digest (\w{64})", line):
                self.digests[stage].append(found[1])
            elif found := re.match(r"-- profile (\S+):", line):
                profile = found[1]
                self.profiles[profile] = None
            elif line.startswith('{"version"') and stage == "profile":
                self.profiles[profile] = json.loads(line)
            elif found := re.match(
                r"decoding token by token: (\w+) cache, (\d+) tokens, .*: mean ([^ ,]+),", line
            ):
                self.decoded.append((found[1], int(found[2]), float(found[3])))
            elif line.startswith("{") and stage == "yardstick":
                self.yardstick = json.loads(line)
            elif found := re.match(r"== (.+): exit (\d+)", line):
                self.exits.append((found[1], int(found[2])))
            elif found := re.match(
                r"partition .*, ([\d.]+) s, device memory ([\d.]+) (\w+) of ([\d.]+) (\w+) planned", line
            ):
                self.seconds[stage] = float(found[1])
                used, planned = (float(found[i]) * UNITS[found[i + 1]] for i in (2, 4))
                self.memory.append((stage, used, planned))
            elif name and (found := re.match(r"(forward|calibrate|evaluate \S+) +([\d. ]+)", line)):
                self.bench[name][found[1]] = [float(figure) for figure in found[2].split()]
            elif name and (found := re.match(r"load +([\d.]+)", line)):
                self.bench[name]["load"] = [float(found[1])]


class Bars:
    def __init__(self):
        self.judged = self.missed = 0

    def judge(self, what, figure, least=None, most=None):
        met = (least is None or figure >= least) and (most is None or figure <= most)
        bar = f"at least {least:g}" if least is not None else f"at most {most:g}"
        print(f"{'met   ' if met else 'MISSED'} {what}: {figure:.3f}, {bar}")
        self.judged += 1
        self.missed += not met


def judge_one_gpu(log, bars):
    one = log.bench.get("8b-1")
    if one is None:
        return
    bars.judge("8B calibrates, TFLOP/s", one["calibrate"][3], least=600)
    bars.judge("observers, times the plain pass", one["calibrate"][0] / one["forward"][0], most=1.05)
    static, bf16 = one["evaluate fp8-static"][0], one["evaluate bf16"][0]
    bars.judge("fp8-static perplexity, times as fast as BF16", bf16 / static, least=1.4)
    if log.yardstick is None:
        return
    theirs = log.yardstick
    bars.judge("8B calibrates, times the yardstick's speed",
               one["calibrate"][1] / theirs["calibrate_tokens_per_s"], least=1.25)
    bars.judge("load, calibration, BF16 perplexity, times the yardstick's",
               (one["load"][0] + one["calibrate"][0] + bf16) / theirs["total_s"], most=0.8)


def judge_four_gpus(log, bars):
    for pairs in (("8b-1", "8b-4-sequences", 3.4), ("8b-1", "8b-4-layers", 3.0),
                  ("8b-1", "8b-4-tensor", 2.2), ("wide-1", "wide-4", 3.0)):
        one, four, least = pairs
        if one in log.bench and four in log.bench:
            gain = log.bench[four]["calibrate"][1] / log.bench[one]["calibrate"][1]
            bars.judge(f"{four}, times one GPU", gain, least=least)
    if "70b" in log.bench:
        bars.judge("70B calibrates, TFLOP/s a GPU", log.bench["70b"]["calibrate"][3], least=560)
    if "70b-whole" in log.seconds:
        bars.judge("70B in all, s", log.seconds["70b-whole"], most=180)


class Profile:
    """The passes of a profile. A figure of a pass that is missing is NaN, which meets no bar."""

    def __init__(self, report):
        self.report = report
        self.passes = {(one["phase"], one["variant"], one["kv"], one["sequences"], one["tokens"]): one
                       for one in report["passes"]}

    def seconds(self, *key):
        return self.passes[key]["median_s"] if key in self.passes else math.nan

    def share_of_bandwidth(self, *key):
        if key not in self.passes:
            return math.nan
        causes = self.passes[key]["causes"]
        read = sum(cause["bytes"] for name, cause in causes.items() if name != "collectives")
        return read / self.seconds(*key) / self.report["ceilings"]["bytes_per_s"]


def judge_passes(report, bars):
    profile = Profile(report)
    seconds = profile.seconds
    one = ("bf16", 1, 2048)  # keys and values, sequences, tokens
    bars.judge("BF16 decodes one sequence, of the measured bandwidth",
               profile.share_of_bandwidth("decode", "bf16", *one), least=0.75)
    for variant in ("fp8-static", "fp8-dynamic", "fp8-weight-only"):  # docs/benchmarks.md: not yet
        bars.judge(f"{variant} decodes one sequence, times BF16's speed",
                   seconds("decode", "bf16", *one) / seconds("decode", variant, *one), least=1.6)
    prompt = ("bf16", 1, 8192)
    static = seconds("prefill", "fp8-static", *prompt)
    bars.judge("fp8-static computes a prompt of 8192, times BF16's speed",
               seconds("prefill", "bf16", *prompt) / static, least=1.35)
    bars.judge("fp8-dynamic computes it, times fp8-static's time",
               seconds("prefill", "fp8-dynamic", *prompt) / static, most=1.08)


def judge_long(report, bars):
    passes = Profile(report).passes
    for variant in ("bf16", "fp8-static"):
        longest = [key for key in passes
                   if key[0] == "prefill" and key[1] == variant and key[4] == 131072]
        bars.judge(f"{variant} computes prompts of 131072", len(longest), least=1)


def judge_decoding(log, bars):
    if not any(test == "cuda_decoder_test" for test, _ in log.exits):
        return
    bars.judge("kinds of caches decoded token by token", len({one[0] for one in log.decoded}), least=3)
    for cache, tokens, mean in log.decoded:
        bars.judge(f"tokens decoded with a {cache} cache", tokens, least=4096)
        bars.judge(f"decoding with a {cache} cache, nats off whole windows", abs(mean),
                   most=1e-3 if cache == "bf16" else 1e-2)


def judge_profiles(log, bars):
    for name, report in log.profiles.items():
        if report is None:
            bars.judge(f"profile {name}, lines of JSON", 0, least=1)
            continue
        bars.judge(f"device memory of profile {name}, of what was planned",
                   report["peak_bytes"] / report["planned_bytes"], most=1)
        bars.judge(f"decode checks of profile {name}", len(report["checks"]), least=1)
    if log.profiles.get("passes"):
        judge_passes(log.profiles["passes"], bars)
    if log.profiles.get("long"):
        judge_long(log.profiles["long"], bars)
    if log.profiles.get("cache"):
        seconds = Profile(log.profiles["cache"]).seconds
        wide = (32, 32768)
        bars.judge("32 sequences with 32768 tokens each, E4M3 cache, times BF16's speed",
                   seconds("decode", "fp8-static", "bf16", *wide) /
                   seconds("decode", "fp8-static", "e4m3", *wide), least=1.4)


def judge_the_rest(log, bars):
    for stage in ("small", "recipes", "8b", "70b"):
        if log.digests[stage]:
            bars.judge(f"content digests of {stage} in {len(log.digests[stage])} runs",
                       len(set(log.digests[stage])), most=1)
    shares = collections.defaultdict(list)
    for stage, used, planned in log.memory:
        shares[stage].append(used / planned)
    for stage, all_shares in shares.items():
        if stage != "recipes":  # of so small a model, what NCCL may take is most of the plan
            bars.judge(f"device memory of {stage}, of what was planned", min(all_shares), least=0.9)
        bars.judge(f"device memory of {stage}, of what was planned", max(all_shares), most=1)
    for test, code in log.exits:
        bars.judge(f"{test}, exit code", code, most=0)


def main(paths):
    lines = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            lines += file.readlines()
    log, bars = Log(lines), Bars()
    judge_one_gpu(log, bars)
    judge_four_gpus(log, bars)
    judge_decoding(log, bars)
    judge_profiles(log, bars)
    judge_the_rest(log, bars)
    print(f"{bars.judged - bars.missed} of {bars.judged} bars met")
    return 1 if bars.missed or not bars.judged else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
