#!/usr/bin/env python3
"""Decodes an audio file of any format with ffmpeg, as a client does: decode.py FILE > samples. The samples are 16 bit,
little endian, one channel, at the rate that the audio has. From a pipe, ffmpeg would not cut the padding of an mp3."""
import subprocess
import sys

import imageio_ffmpeg

command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", sys.argv[1], "-ac", "1", "-f", "s16le", "pipe:1"]
sys.exit(subprocess.run(command).returncode)
