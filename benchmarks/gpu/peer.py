"""The same products and steps in PyTorch: plain eager f32, and under autocast to bf16. Started by torch.ts; a JSON line for each figure.

argv[1]: {"device", "products": [{"name", "batch", "m", "k", "n", "transposed"}], "steps": [{"name", "layers", "hidden", "batch", "length"}]}
Exit code 3: there is no PyTorch, or none that sees the device.
"""

import contextlib
import json
import statistics
import sys
import time


def say(**row):
    print(json.dumps(row), flush=True)


try:
    import torch
except ImportError:
    sys.exit(3)

spec = json.loads(sys.argv[1])
device = spec["device"]
if device == "cuda" and not torch.cuda.is_available():
    sys.exit(3)
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False
say(name="version", note=f"PyTorch {torch.__version__}, {torch.cuda.get_device_name(0) if device == 'cuda' else 'CPU'}")


def wait():
    if device == "cuda":
        torch.cuda.synchronize()


def timed(run):
    """Milliseconds of one call: the median of five samples of about 120 ms."""

    def sample(calls):
        wait()
        began = time.perf_counter()
        for _ in range(calls):
            run()
        wait()
        return 1000 * (time.perf_counter() - began) / calls

    sample(2)
    calls = max(1, min(1000, round(120 / sample(1))))
    return statistics.median(sample(calls) for _ in range(5))


MODES = {
    "torch f32": contextlib.nullcontext,
    "torch amp": lambda: torch.autocast(device, dtype=torch.bfloat16),
}

with torch.no_grad():
    for p in spec["products"]:
        lead = [p["batch"]] if p.get("batch") else []
        a = torch.rand(*lead, p["m"], p["k"], device=device) - 0.5
        b = torch.rand(*lead, *((p["n"], p["k"]) if p.get("transposed") else (p["k"], p["n"])), device=device) - 0.5
        b = b.transpose(-1, -2) if p.get("transposed") else b
        for mode, context in MODES.items():
            with context():
                ms = timed(lambda: torch.matmul(a, b))
            flops = 2 * (p.get("batch") or 1) * p["m"] * p["k"] * p["n"]
            say(name=f"{mode}/{p['name']}", ms=ms, value=flops / ms / 1e6, unit="GFLOP/s", flops=flops)

try:
    from peft import LoraConfig, get_peft_model
    from transformers import BertConfig, BertForSequenceClassification
except ImportError as error:
    say(name="steps", note=f"not timed: {error}")
    sys.exit(0)

for s in spec["steps"]:
    hidden, batch, length = s["hidden"], s["batch"], s["length"]
    for mode, context in MODES.items():
        torch.manual_seed(1)
        config = BertConfig(
            hidden_size=hidden,
            num_hidden_layers=s["layers"],
            num_attention_heads=hidden // 64,
            intermediate_size=4 * hidden,
            vocab_size=30522,
        )
        lora = LoraConfig(
            r=8,
            lora_alpha=16,
            lora_dropout=0.1,
            target_modules=["query", "key", "value", "dense"],
            task_type="SEQ_CLS",
        )
        model = get_peft_model(BertForSequenceClassification(config), lora).to(device).train()
        trained = [w for w in model.parameters() if w.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=1e-4)
        ids = torch.tensor([[100 + ((r * length + i) * 7919) % 30000 for i in range(length)] for r in range(batch)], device=device)
        inputs = {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "labels": torch.tensor([r % 2 for r in range(batch)], device=device),
        }

        def step():
            with context():
                loss = model(**inputs).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            loss.item()

        try:
            say(name=f"{mode}/{s['name']}", ms=timed(step), note="the loss read after each call")
        except RuntimeError as error:
            say(name=f"{mode}/{s['name']}", note=f"not timed: {str(error).splitlines()[0]}")
        del model, optimizer, trained
