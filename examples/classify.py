"""Sorts messages into kinds: python classify.py rows.csv > sorted.csv"""

import csv
import sys

from flowpool import Pool, Skill

kinds = {"type": "string", "enum": ["payment", "bug", "praise", "question"]}
schema = {"type": "object", "properties": {"kind": kinds}, "required": ["kind"]}
answer = {"format": {"type": "json_schema", "schema": schema}}
classify = Skill("gpt-5-mini", prompt="What kind of message is this?\n\n{text}", output=answer)

with open(sys.argv[1], newline="", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
results = Pool(classify, rows).run()
out = csv.DictWriter(sys.stdout, [*rows[0], "kind"], lineterminator="\n")
out.writeheader()
for row, result in zip(rows, results, strict=True):
    out.writerow(row | (result or {"kind": "?"}))
sys.exit(f"{len(results.failed)} failed: {results.errors[0]}" if results.failed else 0)
