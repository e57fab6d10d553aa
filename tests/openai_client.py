#!/usr/bin/env python3
"""Talks to a server with OpenAI's own package, as an application does: openai_client.py http://host:port/v1"""
import io
import subprocess
import sys
import wave

import imageio_ffmpeg
import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key="unused", max_retries=0)

# A whole answer; without a format it is mp3.
mp3 = client.audio.speech.create(model="tts-1", voice="alloy", input="Hello there.").content
decoded = subprocess.run(
    [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "mp3", "-i", "pipe:0", "-f", "s16le", "pipe:1"],
    input=mp3,
    capture_output=True,
    check=True,
).stdout
speech = client.audio.speech.create(model="tts-1", voice="alloy", input="Hello there.", response_format="wav")
with wave.open(io.BytesIO(speech.content)) as file:
    assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16000), file.getparams()
    frames = file.readframes(file.getnframes())
    assert len(frames) == 2 * file.getnframes() > 16000, len(frames)
assert 0.5 < len(decoded) / len(frames) < 2, (len(decoded), len(frames))
pcm = client.audio.speech.create(
    model="gpt-4o-mini-tts", voice="rms", input="Hello there.", response_format="pcm", instructions="Speak kindly.", speed=1.5
).content
assert 8000 < len(pcm) < len(frames) * 24 / 16, len(pcm)

# A streamed one.
text = "The birch canoe slid on the smooth planks. " * 20
with client.audio.speech.with_streaming_response.create(
    model="tts-1", voice="nova", input=text, response_format="wav"
) as response:
    chunks = list(response.iter_bytes(4096))
audio = b"".join(chunks)
assert audio[:4] == b"RIFF" and len(audio) > 40 * 32000, len(audio)

# Errors arrive as the package's own.
for arguments, error, code in [
    ({"voice": "nobody"}, openai.BadRequestError, "voice_not_found"),
    ({"input": ""}, openai.BadRequestError, "empty_input"),
    ({"model": "whisper-1"}, openai.NotFoundError, "model_not_found"),
    ({"response_format": "midi"}, openai.BadRequestError, "unsupported_format"),
]:
    try:
        client.audio.speech.create(**{"model": "tts-1", "voice": "alloy", "input": "Hi.", "response_format": "wav"} | arguments)
    except error as caught:
        assert caught.code == code, caught.code
        assert caught.type == "invalid_request_error" and caught.request_id, vars(caught)
    else:
        sys.exit(f"{arguments} was accepted")

assert "tts-1" in [model.id for model in client.models.list()]
assert client.models.retrieve("rms").id == "rms"
print("ok")
