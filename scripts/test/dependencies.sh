# shellcheck shell=bash
# What is known against our dependencies: licences, sources and vulnerabilities of crates, Go modules, Python packages.
# The databases of vulnerabilities cannot be reached from everywhere: a step without its database is skipped.

GOVULNCHECK_VERSION=1.9.0
GO_DATABASE=https://vuln.go.dev
PYTHON_DATABASE=https://api.osv.dev

check_licences() { cargo deny --all-features check --hide-inclusion-graph licenses bans sources; }

check_crate_advisories() {
    timeout 60 cargo deny fetch db >/dev/null 2>&1 || {
        skip_step "the RustSec advisory database cannot be fetched from here"
        return
    }
    cargo deny --all-features check --hide-inclusion-graph advisories
}

check_go_vulnerabilities() {
    answers "$GO_DATABASE/index/db.json" || {
        skip_step "the Go vulnerability database cannot be reached from here"
        return
    }
    local module packages status=0
    for module in e2e/cluster/kubeone e2e/cluster/tools/*; do
        packages=tool
        [[ ! -f $module/main.go ]] || packages=.
        (cd "$module" && go run "golang.org/x/vuln/cmd/govulncheck@v$GOVULNCHECK_VERSION" "$packages") || status=1
    done
    return $status
}

check_python_vulnerabilities() {
    answers "$PYTHON_DATABASE/v1/vulns/PYSEC-2014-1" || {
        skip_step "the OSV vulnerability database cannot be reached from here"
        return
    }
    local venv=$REPORTS/pip-audit status=0
    python3 -m venv "$venv" &&
        "$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes \
            --requirement scripts/test/pip-audit.txt &&
        "$venv/bin/pip-audit" --vulnerability-service osv --disable-pip --require-hashes \
            --requirement e2e/requirements.txt || status=$?
    rm -rf "$venv"
    return $status
}

# answers URL
answers() { curl --silent --fail --max-time 20 --output /dev/null "$1"; }
