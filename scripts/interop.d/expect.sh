# Sourced. Defines `expect STATUS NAME ARGUMENTS`, which sends a request by curl, ends the script if the status is
# another, and counts in `passed`. `work` has to be a folder.
# shellcheck shell=bash disable=SC2154
passed=0
expect() {
    local wanted="$1" name="$2" status
    shift 2
    status="$(curl --silent --output "$work/response" --write-out '%{http_code}' "$@")" || true
    if [ "$status" != "$wanted" ]; then
        echo "$name: $status, not $wanted: $(cat "$work/response")" >&2
        exit 1
    fi
    passed=$((passed + 1))
}
