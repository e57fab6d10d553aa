# shellcheck shell=bash
# The Python that the end-to-end tests use: a speech recogniser, OpenAI's client and ffmpeg, in a virtual environment.

python_venv() {
    printf '%s/venv-%s\n' "$CACHE" "$(content_key "$REPO/e2e/requirements.txt" "$(python3 --version)")"
}

install_python_venv() {
    local venv
    venv=$(python_venv)
    # The last file that is written says that the environment is whole; a virtual environment cannot be moved.
    if [[ -f $venv/complete ]]; then mark_used "$venv" && return; fi
    require_packages python3-venv
    with_progress "A speech recogniser, OpenAI's client and ffmpeg for Python (180 MB)" make_venv "$venv"
}

make_venv() {
    rm -rf "$1" &&
        python3 -m venv "$1" &&
        "$1/bin/pip" install --quiet --disable-pip-version-check --require-hashes \
            --requirement "$REPO/e2e/requirements.txt" &&
        touch "$1/complete"
}
