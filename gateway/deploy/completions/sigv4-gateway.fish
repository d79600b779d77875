# Completion of sigv4-gateway for fish.

complete -c sigv4-gateway -f
complete -c sigv4-gateway -l config -r -F -d 'Configuration in TOML'
complete -c sigv4-gateway -l check -d 'Check the configuration and exit'
complete -c sigv4-gateway -l credentials -d 'With --check, get the credentials of each identity once'
complete -c sigv4-gateway -l print-config -d 'Print the configuration without secrets'
complete -c sigv4-gateway -l explain -r -F -d 'Explain a rejected signature'
complete -c sigv4-gateway -l secret-env -x -a '(set --export --names)' -d 'Environment variable of the secret access key'
complete -c sigv4-gateway -l init -F -d 'Write a commented configuration'
complete -c sigv4-gateway -l s3 -n '__fish_contains_opt init' -d 'Write a configuration for S3'
complete -c sigv4-gateway -l print-schema -d 'Print the JSON Schema of the configuration'
complete -c sigv4-gateway -l listen -x -a '127.0.0.1:8080 0.0.0.0:8080' -d 'Address to listen on'
complete -c sigv4-gateway -s h -l help -d 'Print the usage'
complete -c sigv4-gateway -s V -l version -d 'Print the version'
