#!/usr/bin/env python3
"""Compares the server's encoders with ffmpeg's, which are written in C (libmp3lame, libopus, its own aac and flac), at the
same bit rate: encoders.py SERVER ENCODE [ROUNDS].

SERVER is tts-server, which speaks the audio; ENCODE is the program that `cargo build --release --example encode -p
tts-server` makes. Both encode the same five minutes of speech in turns; what counts is the CPU time of the process, in
milliseconds per second of audio, and the median of the ratios of neighbouring rounds. Run it with the Python of the
end-to-end tests, which has ffmpeg."""

import os
import resource
import statistics
import subprocess
import sys
import tempfile

import imageio_ffmpeg

SENTENCES = (
    "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background. It is easy to tell the depth of a "
    "well. These days a chicken leg is a rare dish. Rice is often served in round bowls. The juice of lemons makes fine punch. "
)
RATE = 16_000
# What the server uses; opus has its own complexity scale, the same as libopus'.
PEERS = {
    "mp3": ["-c:a", "libmp3lame", "-b:a", "128k", "-f", "mp3"],
    "opus": ["-c:a", "libopus", "-b:a", "64k", "-compression_level", "6", "-f", "ogg"],
    "aac": ["-ar", "24000", "-c:a", "aac", "-b:a", "96k", "-f", "adts"],
    "flac": ["-c:a", "flac", "-f", "flac"],
}


def cpu_seconds(command: list[str], samples: bytes) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, input=samples, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    server, encode, rounds = sys.argv[1], sys.argv[2], int((sys.argv + ["9"])[3])
    with tempfile.TemporaryDirectory() as folder:
        wav = os.path.join(folder, "speech.wav")
        subprocess.run([server, "say", SENTENCES, "--output", wav], check=True)
        with open(wav, "rb") as file:
            spoken = file.read()[44:]
    samples = spoken * max(1, 300 * RATE * 2 // len(spoken))
    seconds = len(samples) / 2 / RATE
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-threads", "1", "-f", "s16le", "-ar", str(RATE), "-ac", "1"]
    print(f"{seconds:.0f} s of speech at {RATE} Hz, {os.cpu_count()} CPUs, {rounds} rounds")
    print("| format | here, CPU ms/s | ffmpeg, CPU ms/s | ratio |\n|---|---|---|---|")
    for name, options in PEERS.items():
        ours, theirs = [], []
        for _ in range(rounds):
            ours.append(cpu_seconds([encode, name, str(RATE)], samples))
            theirs.append(cpu_seconds([*ffmpeg, "-i", "pipe:0", *options, "pipe:1"], samples))
        ratio = statistics.median(one / other for one, other in zip(ours, theirs))
        own, peer = (1000 * statistics.median(times) / seconds for times in (ours, theirs))
        print(f"| {name} | {own:.2f} | {peer:.2f} | {ratio:.2f} |")


main()
