function __mnedc-join_should_offer_completions_for_flags_or_options -a expected_commands
    set -l non_repeating_flags_or_options $argv[2..]
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __mnedc-join_parse_tokens
    test "$commands" = "$expected_commands"; and return $non_repeating_flags_or_options_absent
end

function __mnedc-join_should_offer_completions_for_positional -a expected_commands positional_index_comparison expected_positional_index
    set -l non_repeating_flags_or_options
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __mnedc-join_parse_tokens
    test "$commands" = "$expected_commands" -a \( "$positional_index" "$positional_index_comparison" "$expected_positional_index" \)
end

function __mnedc-join_parse_tokens -S
    set -l unparsed_tokens (__mnedc-join_tokens -pc)
    switch $unparsed_tokens[1]
    case 'mnedc-join'
        __mnedc-join_parse_subcommand 1 'c/config=' 'name=' 's/server=+' 'server-key=+' 'd/device-id=' 'a/address=' 'allow-overlap' 'reset' 'i/interface=' 'no-offload' 't/timeout=' 'b/background' 'socket=' 'state=' 'log-level=' 'check' 'version' 'h/help'
        switch $unparsed_tokens[1]
        case 'help'
            __mnedc-join_parse_subcommand -r 1 'version'
        end
    end
end

function __mnedc-join_tokens
    if test (string split -m 1 -f 1 -- . "$FISH_VERSION") -gt 3
        commandline --tokens-raw $argv
    else
        commandline -o $argv
    end
end

function __mnedc-join_parse_subcommand -S -a positional_count
    argparse -s r -- $argv
    set -l option_specs $argv[2..]
    set -l is_repeating_positional $_flag_r
    set -el _flag_r
    set -a commands $unparsed_tokens[1]
    set positional_index 0
    while true
        set -e unparsed_tokens[1]
        argparse -sn "$commands" $option_specs -- $unparsed_tokens 2> /dev/null
        set unparsed_tokens $argv
        set positional_index (math $positional_index + 1)
        for non_repeating_flag_or_option in $non_repeating_flags_or_options
            if set -ql "_flag_$(string replace -a - _ -- $non_repeating_flag_or_option)"
                set non_repeating_flags_or_options_absent 1
                break
            end
        end
        test (count $unparsed_tokens) -eq 0 -o \( -z "$is_repeating_positional" -a "$positional_index" -gt "$positional_count" \) && break
    end
end

function __mnedc-join_complete_directories
    set -l token (commandline -t)
    string match -- '*/' $token
    set -l subdirs $token*/
    printf %s\n $subdirs
end

function __mnedc-join_custom_completion
    set -x SAP_SHELL fish
    set -x SAP_SHELL_VERSION $FISH_VERSION
    set -l tokens (__mnedc-join_tokens -p)
    if test -z "$(__mnedc-join_tokens -t)"
        set -l index (count (__mnedc-join_tokens -pc))
        set tokens $tokens[..$index] \'\' $tokens[(math $index + 1)..]
    end
    command $tokens[1] $argv $tokens
end

complete -c 'mnedc-join' -f
complete -c 'mnedc-join' -n '__mnedc-join_should_offer_completions_for_flags_or_options "mnedc-join" c config' -l 'config' -s 'c' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-join' -n '__mnedc-join_should_offer_completions_for_flags_or_options "mnedc-join" name' -l 'name' -d 'Be in this network beside others (no default).' -rfka ''
complete -c 'mnedc-join' -n '__mnedc-join_should_offer_completions_for_flags_or_options "mnedc-join"' -l 'server' -s 's' -d 'Join the relay here (no default); may be given several times, tried in order.' -rfka ''
complete -c 'mnedc-join' -n '__mnedc-join_should_offer_completions_for_flags_or_options "mnedc-join"' -l 'server-key' -d 'Join only a relay that has this key (no default); may be given several times.' -rfka ''
complete -c 'mnedc-join' -n '__mnedc-join_should_offer_completions_for_flags_or_options "mnedc-join" d device-id' -l 'device-id' -s 'd' -d 'Go by this name, unique in the network (default: the host\'s and 8 hex digits).' -rfka ''
complete -c 'mnedc-join' -n '__mnedc-join_should_offer_completions_for_flags_or_options "mnedc-join" a address' -l 'address' -s 'a' -d 'Ask for this virtual address, and take no other (default: what the relay gives).' -rfka ''
complete -c 'mnedc-join' -n '__mnedc-join_should_offer_completions_for_flags_or_options "mnedc-join" allow-overlap' -l 'allow-overlap' -d 'Join even if this host has the network\'s addresses.'
complete -c 'mnedc-join' -n '__mnedc-join_should_offer_completions_for_flags_or_options "mnedc-join" reset' -l 'reset' -d 'Join by the invite as a new device, with a new key.'
complete -c 'mnedc-join' -n '__mnedc-join_should_offer_completions_for_flags_or_options "mnedc-join" i interface' -l 'interface' -s 'i' -d 'Name the TUN interface so (default: mnedc0).' -rfka '(__mnedc-join_custom_completion ---completion -- --interface (count (__mnedc-join_tokens -pc)) (__mnedc-join_tokens -tC))'
complete -c 'mnedc-join' -n '__mnedc-join_should_offer_completions_for_flags_or_options "mnedc-join" no-offload' -l 'no-offload' -d 'Make the interface without segmentation offload (slower; for trouble with a kernel).'
complete -c 'mnedc-join' -n '__mnedc-join_should_offer_completions_for_flags_or_options "mnedc-join" t timeout' -l 'timeout' -s 't' -d 'Give up unless joined after this time (default: 30s).' -rfka ''
complete -c 'mnedc-join' -n '__mnedc-join_should_offer_completions_for_flags_or_options "mnedc-join" b background' -l 'background' -s 'b' -d 'Go to the background, and log to syslog, once joined.'
complete -c 'mnedc-join' -n '__mnedc-join_should_offer_completions_for_flags_or_options "mnedc-join" socket' -l 'socket' -d 'Listen for mnedc-ctl and mnedc-peers here (default: /run/mnedc/mnedc-join.sock).' -rF
complete -c 'mnedc-join' -n '__mnedc-join_should_offer_completions_for_flags_or_options "mnedc-join" state' -l 'state' -d 'Keep keys and what else must outlive the program here (default: /var/lib/mnedc-join).' -rfa '(__mnedc-join_complete_directories)'
complete -c 'mnedc-join' -n '__mnedc-join_should_offer_completions_for_flags_or_options "mnedc-join" log-level' -l 'log-level' -d 'Log this and worse: trace, debug, info, notice, warning, error, critical (default: info).' -rfka 'trace debug info notice warning error critical'
complete -c 'mnedc-join' -n '__mnedc-join_should_offer_completions_for_flags_or_options "mnedc-join" check' -l 'check' -d 'Check the configuration, print it, and exit.'
complete -c 'mnedc-join' -n '__mnedc-join_should_offer_completions_for_flags_or_options "mnedc-join" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-join' -n '__mnedc-join_should_offer_completions_for_flags_or_options "mnedc-join" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-join' -n '__mnedc-join_should_offer_completions_for_positional "mnedc-join" -eq 1' -fa 'help' -d 'Show subcommand help information.'
complete -c 'mnedc-join' -n '__mnedc-join_should_offer_completions_for_flags_or_options "mnedc-join help" version' -l 'version' -d 'Show the version.'
