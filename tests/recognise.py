#!/usr/bin/env python3
"""Listens to WAV files with pocketsphinx and tells how well they are understood.

    recognise.py --sentences FILE DIR     DIR/00.wav, DIR/01.wav, ...: file i should say line i of FILE
    recognise.py --sentences FILE --expect "TEXT" ONE.wav     one file that should say TEXT, a line of FILE

For each file the recogniser (a) picks one of the sentences (a grammar of all of them), and (b) writes down words out of
the sentences' vocabulary in any order; (b)'s word error rate is counted. Prints one JSON object:

    {"sentences": 30, "picked": 30, "wer": 0.12, "lines": [{"expected": ..., "picked": ..., "heard": ...}, ...]}

Exits with 1 unless every sentence was picked and the word error rate is at most --max-wer.
"""
import argparse
import array
import json
import math
import pathlib
import re
import sys
import tempfile
import wave

from pocketsphinx import Decoder, get_model_path

RATE = 16000


def words(sentence):
    return re.sub(r"[^a-z' ]", " ", sentence.lower()).split()


def samples(path):
    """16-bit samples at 16 kHz, at an even level, with silence at both ends."""
    with wave.open(str(path)) as file:
        if (file.getnchannels(), file.getsampwidth()) != (1, 2):
            sys.exit(f"{path}: expected one channel of 16 bits")
        rate = file.getframerate()
        sound = array.array("h", file.readframes(file.getnframes()))
    if not sound:
        sys.exit(f"{path}: no samples")
    if rate != RATE:
        step = rate / RATE
        places = (i * step for i in range(int((len(sound) - 1) / step)))
        sound = array.array("h", (int(sound[int(p)] * (1 - p % 1) + sound[int(p) + 1] * (p % 1)) for p in places))
    loudest = max(1, max(abs(s) for s in sound))
    silence = array.array("h", bytes(2 * RATE // 5))
    return silence + array.array("h", (int(s * 16000 / loudest) for s in sound)) + silence


def decoder(**more):
    model = pathlib.Path(get_model_path()) / "en-us"
    return Decoder(
        hmm=str(model / "en-us"), dict=str(model / "cmudict-en-us.dict"), loglevel="FATAL", samprate=RATE, **more
    )


def grammar(folder, references):
    path = folder / "sentences.gram"
    path.write_text("#JSGF V1.0;\ngrammar s;\npublic <s> = " + " | ".join(references) + " ;\n")
    return decoder(jsgf=str(path))


def any_order(folder, references):
    """Every word of the sentences, equally likely everywhere."""
    vocabulary = sorted({word for reference in references for word in reference.split()})
    each = math.log10(0.9 / len(vocabulary))
    lines = ["\\data\\", f"ngram 1={len(vocabulary) + 2}", "", "\\1-grams:", "-99 <s>", "-1.0 </s>"]
    lines += [f"{each:.4f} {word}" for word in vocabulary]
    path = folder / "words.arpa"
    path.write_text("\n".join(lines) + "\n\n\\end\\\n")
    return decoder(lm=str(path))


def hear(recogniser, sound):
    recogniser.start_utt()
    recogniser.process_raw(sound.tobytes(), False, True)
    recogniser.end_utt()
    heard = recogniser.hyp()
    return heard.hypstr if heard else ""


def errors(expected, heard):
    """Words to insert, delete or replace."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(expected, 1):
        last, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (word != other))
    return row[-1]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--sentences", required=True, type=pathlib.Path)
    arguments.add_argument("--expect", help="what the one file should say")
    arguments.add_argument("--max-wer", type=float, default=0.20)
    arguments.add_argument("wavs", type=pathlib.Path)
    options = arguments.parse_args()

    references = [" ".join(words(line)) for line in options.sentences.read_text().splitlines() if line.strip()]
    if options.expect is None:
        pairs = [(reference, options.wavs / f"{i:02d}.wav") for i, reference in enumerate(references)]
    else:
        expected = " ".join(words(options.expect))
        if expected not in references:
            sys.exit(f"{options.sentences} does not hold the sentence {options.expect!r}")
        pairs = [(expected, options.wavs)]

    lines, wrong, total = [], 0, 0
    with tempfile.TemporaryDirectory() as folder:
        pick, write_down = grammar(pathlib.Path(folder), references), any_order(pathlib.Path(folder), references)
        for expected, path in pairs:
            sound = samples(path)
            picked, heard = hear(pick, sound), hear(write_down, sound)
            wrong += errors(expected.split(), heard.split())
            total += len(expected.split())
            lines.append({"expected": expected, "picked": picked, "heard": heard})
    picked = sum(line["picked"] == line["expected"] for line in lines)
    wer = wrong / total
    print(json.dumps({"sentences": len(lines), "picked": picked, "wer": round(wer, 4), "lines": lines}))
    sys.exit(0 if picked == len(lines) and wer <= options.max_wer else 1)


if __name__ == "__main__":
    main()
