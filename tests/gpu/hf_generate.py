#!/usr/bin/env python3
"""The yardstick of `fp8cal profile`: the same passes through Hugging Face transformers, timed.

  hf_generate.py MODEL_DIR [--prompts 2048,8192] [--batches 1] [--contexts 2048] [--tokens 64]

Loads a checkpoint in BF16 onto one GPU and calls `generate`, greedy, with a static cache, on random token
ids. Prints one JSON object: `prefill`, seconds to the first token of one prompt, the median of three after a
warm-up; `decode`, median seconds per output token of each batch and context (the tokens that each sequence
has already), over --tokens tokens after a call that warms up, as `generate` runs it and with
disable_compile. `compiled` says whether torch.compile was in use: `generate` compiles decoding by itself
where it sees a static cache on a GPU, and never the prefill.
"""
import argparse
import json
import logging
import statistics
import time

import torch
import transformers
from transformers import GenerationConfig, LlamaForCausalLM

PREFILLS = 3  # timed calls a prompt


def numbers(text):
    return [int(item) for item in text.split(",")]


class Clock:
    """A streamer of `generate`: when each token was there. Its first call is of the prompt."""

    def __init__(self):
        self.times = []

    def put(self, _):
        self.times.append(time.perf_counter())

    def end(self):
        pass

    def seconds_per_token(self):
        tokens = self.times[1:]
        return statistics.median(late - early for early, late in zip(tokens, tokens[1:]))


class Yardstick:
    def __init__(self, folder):
        self.model = LlamaForCausalLM.from_pretrained(
            folder, dtype=torch.bfloat16, device_map="cuda").eval()
        self.model.generation_config.eos_token_id = None  # random weights must not end early
        self.draw = torch.Generator().manual_seed(0)

    def forget(self):
        """Makes the next cache as long as it must be: `generate` keeps to the longest it has made, and
        attention reads all of it. Frees what was compiled for other shapes."""
        for name in ("_previous_max_cache_length", "_compiled_call", "_last_compile_config"):
            self.model.__dict__.pop(name, None)
        torch._dynamo.reset()
        torch.cuda.empty_cache()

    def prompts(self, batch, length):
        vocabulary = self.model.config.vocab_size - 256
        return torch.randint(0, vocabulary, (batch, length), generator=self.draw).cuda()

    def generate(self, prompts, tokens, compiles, streamer=None):
        config = GenerationConfig(max_new_tokens=tokens, do_sample=False, cache_implementation="static",
                                  disable_compile=not compiles, pad_token_id=0)
        self.model.generate(prompts, attention_mask=torch.ones_like(prompts), generation_config=config,
                            streamer=streamer)
        torch.cuda.synchronize()

    def prefill(self, length):
        self.forget()
        prompts = self.prompts(1, length)
        seconds = []
        for _ in range(1 + PREFILLS):
            begin = time.perf_counter()
            self.generate(prompts, 1, compiles=False)
            seconds.append(time.perf_counter() - begin)
        return {"tokens": length, "seconds": statistics.median(seconds[1:])}

    def decode(self, batch, context, tokens, compiles):
        self.forget()
        prompts = self.prompts(batch, context)
        self.generate(prompts, tokens, compiles)  # compiles, and captures CUDA graphs
        clock = Clock()
        self.generate(prompts, tokens, compiles, clock)
        return {"batch": batch, "context": context, "seconds": clock.seconds_per_token(),
                "compiled": "_compiled_call" in self.model.__dict__}


def main():
    logging.getLogger("transformers").setLevel(logging.ERROR)
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--prompts", type=numbers, default=[2048, 8192])
    parser.add_argument("--batches", type=numbers, default=[1])
    parser.add_argument("--contexts", type=numbers, default=[2048])
    parser.add_argument("--tokens", type=int, default=64)
    arguments = parser.parse_args()
    if arguments.tokens < 3:
        parser.error("--tokens: at least 3")

    begin = time.perf_counter()
    yardstick = Yardstick(arguments.model)
    report = {"torch": torch.__version__, "transformers": transformers.__version__,
              "gpu": torch.cuda.get_device_name(), "load_s": time.perf_counter() - begin}
    report["prefill"] = [yardstick.prefill(length) for length in arguments.prompts]
    report["decode"] = [yardstick.decode(batch, context, arguments.tokens, compiles)
                        for batch in arguments.batches for context in arguments.contexts
                        for compiles in (False, True)]
    report["total_s"] = time.perf_counter() - begin
    print(json.dumps(report))


if __name__ == "__main__":
    main()
