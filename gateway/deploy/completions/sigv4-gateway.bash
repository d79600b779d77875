# Completion of sigv4-gateway for bash.

_sigv4_gateway() {
    local word="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD - 1]}"
    COMPREPLY=()
    case "$previous" in
        --config | --explain | --init)
            # A file, unless an option follows --init.
            [[ $previous == --init && $word == -* ]] || { compopt -o default; return; }
            ;;
        --secret-env)
            mapfile -t COMPREPLY < <(compgen -e -- "$word")
            return
            ;;
        --listen)
            mapfile -t COMPREPLY < <(compgen -W "127.0.0.1 0.0.0.0" -- "$word")
            return
            ;;
    esac
    local options="--config --check --credentials --print-config --explain --secret-env --init --s3 --print-schema
        --listen --help --version"
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
}
complete -F _sigv4_gateway sigv4-gateway
