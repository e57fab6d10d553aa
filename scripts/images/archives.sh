# shellcheck shell=bash
# From a binary to an image's archive: the context, the key of its content, the build.

TARGETARCH=${TARGETARCH:-$(machine_arch)}

# Never pushed under this name: `localhost` is how a node is told that the image is already there.
image_reference() { printf 'localhost/%s:dev\n' "$1"; }

# image_folder NAME: the folder of its Containerfile
image_folder() {
    case $1 in
    tts-operator) printf '%s/operator\n' "$REPO" ;;
    tts-server) printf '%s/inference-server\n' "$REPO" ;;
    tts-pause) printf '%s/e2e/cluster/pause\n' "$REPO" ;;
    *) fail "there is no image '$1'; known: tts-operator, tts-server, tts-pause" ;;
    esac
}

# image_binary NAME: where `make build` leaves the program of an image
image_binary() {
    if [[ $TARGETARCH == "$(machine_arch)" ]]; then
        printf '%s/bin/%s\n' "$REPO" "$1"
    else
        printf '%s/bin/%s/%s\n' "$REPO" "$TARGETARCH" "$1"
    fi
}

# image_archive NAME: where its archive lies; it need not be there yet
image_archive() {
    local name=$1 inputs
    inputs=("$(image_folder "$name")/Containerfile" "$TARGETARCH")
    case $name in
    tts-pause) inputs+=("$REPO/e2e/cluster/pause/pause.c") ;;
    *)
        inputs+=("$(image_binary "$name")" "$REPO/scripts/images/system-files.sh" "$BASE_IMAGE"
            "$REPO/scripts/images/notices.py" "$REPO/Cargo.lock")
        [[ $name != tts-server ]] || inputs+=("${ONNXRUNTIME_WHEEL_SHA256[$(wheel_arch "$TARGETARCH")]}")
        ;;
    esac
    printf '%s/images/%s-%s-%s.tar\n' "$CACHE" "$name" "$TARGETARCH" "$(content_key "${inputs[@]}")"
}

build_image() {
    local name=$1 archive
    if [[ $name != tts-pause ]]; then
        [[ -x $(image_binary "$name") ]] || fail "$(image_binary "$name") is not built yet" "build it with: make build"
        check_glibc "$(image_binary "$name")"
    fi
    archive=$(image_archive "$name")
    if [[ -f $archive ]]; then
        mark_used "$archive" "$archive.facts"
        return
    fi
    choose_builder
    if [[ $name == tts-server ]]; then install_onnxruntime "$TARGETARCH"; fi
    mkdir -p "$CACHE/images"
    # Clones share the base and the builder's store, where the image has the same name for all of them.
    with_lock "$CACHE/images/.lock" "it builds an image" build_archive_once "$name" "$archive"
}

# build_archive_once NAME ARCHIVE: another clone with the same content may have built it meanwhile
build_archive_once() {
    [[ ! -f $2 ]] || return 0
    if [[ $1 != tts-pause ]]; then provide_base; fi
    with_progress "Image $1 with $BUILDER (3 to 30 s)" build_archive "$1" "$2"
}

# build_archive NAME ARCHIVE
build_archive() {
    local name=$1 archive=$2 context reference status=0
    context=$(mktemp -d)
    reference=$(image_reference "$name")
    prepare_context "$name" "$context" &&
        engine_build "$context" "$reference" "$TARGETARCH" "BASE=$BASE_IMAGE" \
            "REVISION=$(git -C "$REPO" rev-parse HEAD 2>/dev/null || printf unknown)" &&
        engine_save "$reference" "$archive.partial" &&
        python3 "$REPO/scripts/images/facts.py" "$archive.partial" >"$archive.facts" &&
        mv "$archive.partial" "$archive" || status=$?
    rm -rf "$context" "$archive.partial"
    return $status
}

# prepare_context NAME FOLDER: just what the Containerfile copies
prepare_context() {
    local name=$1 context=$2 onnxruntime
    cp "$(image_folder "$name")/Containerfile" "$context/" || return
    mkdir "$context/$TARGETARCH" || return
    if [[ $name == tts-pause ]]; then
        cc -Os -static -s -o "$context/$TARGETARCH/pause" "$(image_folder "$name")/pause.c"
        return
    fi
    cp "$REPO/LICENSE" "$REPO/scripts/images/system-files.sh" "$context/" &&
        install -m 755 "$(image_binary "$name")" "$context/$TARGETARCH/$name" || return
    local others=()
    [[ $name != tts-server ]] ||
        others+=("onnxruntime=$ONNXRUNTIME_VERSION=MIT=pkg:pypi/onnxruntime@$ONNXRUNTIME_VERSION")
    python3 "$REPO/scripts/images/notices.py" "$name" "$TARGETARCH" "$context" "${others[@]}" || return
    if [[ $name == tts-server ]]; then
        onnxruntime=$(onnxruntime_dir "$TARGETARCH")
        cp -r "$onnxruntime" "$context/$TARGETARCH/onnxruntime"
    fi
}

# print_image NAME: a line for a person
print_image() {
    local digest size
    read -r digest size <"$(image_archive "$1").facts"
    printf '%-28s %s  %s MB unpacked\n' "$(image_reference "$1")" "$digest" "$(((size + 999999) / 1000000))"
}
