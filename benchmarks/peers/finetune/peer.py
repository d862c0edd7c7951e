"""PyTorch's side of the comparison: LoRA (PEFT) on a transformers model, rows of a table, batches as a shuffle deals them, padded to the longest of the
batch. The base is plain float32: its four-bit weights, decoded once, would be the same to the clock. Asked over stdin for so many steps at a time, it
answers a line of JSON each: real tokens, positions computed, seconds of the clock and of the processor."""
import csv, json, random, sys, time

import peft, torch
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification

base, data, threads = sys.argv[1:4]
torch.set_num_threads(int(threads))
torch.manual_seed(13)
with open(data, newline="", encoding="utf-8") as file:
    rows = [(row["text"], row["label"]) for row in csv.DictReader(file)]
names = sorted({label for _, label in rows})
tokenizer = Tokenizer.from_file(f"{base}/tokenizer.json")
tokenizer.no_padding(), tokenizer.enable_truncation(128)
ids = [encoding.ids for encoding in tokenizer.encode_batch([text for text, _ in rows])]
labels = [names.index(label) for _, label in rows]
model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=len(names), attn_implementation="sdpa", dtype=torch.float32)
options = dict(task_type="SEQ_CLS", r=8, lora_alpha=16, lora_dropout=0.0, target_modules=["query", "key", "value", "dense"])
model = peft.get_peft_model(model, peft.LoraConfig(**options)).train()
parameters = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.01)
order = list(range(len(ids)))
random.Random(13).shuffle(order)
at = 0


def step():
    global at
    start = time.perf_counter()
    batch = [order[i % len(order)] for i in range(at, at + 32)]
    at += 32
    width = max(len(ids[i]) for i in batch)
    x = torch.tensor([ids[i] + [0] * (width - len(ids[i])) for i in batch])
    mask = (torch.arange(width) < torch.tensor([[len(ids[i])] for i in batch])).long()
    loss = model(input_ids=x, attention_mask=mask, labels=torch.tensor([labels[i] for i in batch])).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step(), optimizer.zero_grad()
    value = loss.item()
    return int(mask.sum()), mask.numel(), time.perf_counter() - start, value


print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    before = time.process_time()
    made = [step() for _ in range(int(line))]
    tokens, padded, seconds = (sum(column) for column in list(zip(*made))[:3])
    print(json.dumps({"tokens": tokens, "padded": padded, "seconds": seconds, "processor": time.process_time() - before, "loss": made[-1][3]}), flush=True)
