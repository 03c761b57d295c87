function __mnedc-peers_should_offer_completions_for_flags_or_options -a expected_commands
    set -l non_repeating_flags_or_options $argv[2..]
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __mnedc-peers_parse_tokens
    test "$commands" = "$expected_commands"; and return $non_repeating_flags_or_options_absent
end

function __mnedc-peers_should_offer_completions_for_positional -a expected_commands positional_index_comparison expected_positional_index
    set -l non_repeating_flags_or_options
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __mnedc-peers_parse_tokens
    test "$commands" = "$expected_commands" -a \( "$positional_index" "$positional_index_comparison" "$expected_positional_index" \)
end

function __mnedc-peers_parse_tokens -S
    set -l unparsed_tokens (__mnedc-peers_tokens -pc)
    switch $unparsed_tokens[1]
    case 'mnedc-peers'
        __mnedc-peers_parse_subcommand 0 'service=+' 'platform=+' 'label=+' 'state=+' 'sort=' 'limit=' 'wide' 'no-header' 'tree' 'fetch' 'watch' 'json' 'config=' 'socket=' 'of=' 'timeout=' 'version' 'h/help'
        switch $unparsed_tokens[1]
        case 'list'
            __mnedc-peers_parse_subcommand 0 'service=+' 'platform=+' 'label=+' 'state=+' 'sort=' 'limit=' 'wide' 'no-header' 'tree' 'fetch' 'watch' 'json' 'config=' 'socket=' 'of=' 'timeout=' 'version' 'h/help'
        case 'show'
            __mnedc-peers_parse_subcommand 1 'json' 'config=' 'socket=' 'of=' 'timeout=' 'version' 'h/help'
        case 'ping'
            __mnedc-peers_parse_subcommand 1 'c/count=' 'i/interval=' 'json' 'config=' 'socket=' 'of=' 'timeout=' 'version' 'h/help'
        case 'help'
            __mnedc-peers_parse_subcommand -r 1 'version'
        end
    end
end

function __mnedc-peers_tokens
    if test (string split -m 1 -f 1 -- . "$FISH_VERSION") -gt 3
        commandline --tokens-raw $argv
    else
        commandline -o $argv
    end
end

function __mnedc-peers_parse_subcommand -S -a positional_count
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

function __mnedc-peers_complete_directories
    set -l token (commandline -t)
    string match -- '*/' $token
    set -l subdirs $token*/
    printf %s\n $subdirs
end

function __mnedc-peers_custom_completion
    set -x SAP_SHELL fish
    set -x SAP_SHELL_VERSION $FISH_VERSION
    set -l tokens (__mnedc-peers_tokens -p)
    if test -z "$(__mnedc-peers_tokens -t)"
        set -l index (count (__mnedc-peers_tokens -pc))
        set tokens $tokens[..$index] \'\' $tokens[(math $index + 1)..]
    end
    command $tokens[1] $argv $tokens
end

complete -c 'mnedc-peers' -f
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers"' -l 'service' -d 'Only with this service up; repeatable (no default).' -rfka '(__mnedc-peers_custom_completion ---completion -- --service (count (__mnedc-peers_tokens -pc)) (__mnedc-peers_tokens -tC))'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers"' -l 'platform' -d 'Only on this platform; repeatable (no default).' -rfka '(__mnedc-peers_custom_completion ---completion -- --platform (count (__mnedc-peers_tokens -pc)) (__mnedc-peers_tokens -tC))'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers"' -l 'label' -d 'Only with this label; repeatable (no default).' -rfka '(__mnedc-peers_custom_completion ---completion -- --label (count (__mnedc-peers_tokens -pc)) (__mnedc-peers_tokens -tC))'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers"' -l 'state' -d 'Only in this state: online, silent, untrusted, unknown; repeatable (no default).' -rfka 'online silent untrusted unknown'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers" sort' -l 'sort' -d 'By address, id, rtt, load, proof (default: address).' -rfka 'address id rtt load proof'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers" limit' -l 'limit' -d 'List at most this many (default: all of them).' -rfka ''
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers" wide' -l 'wide' -d 'Show more columns, and do not cut lines.'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers" no-header' -l 'no-header' -d 'Print no column names and no remarks.'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers" tree' -l 'tree' -d 'Show behind which NAT each device is.'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers" fetch' -l 'fetch' -d 'First ask peers for what is not known of them.'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers" watch' -l 'watch' -d 'Keep showing changes until interrupted.'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers" json' -l 'json' -d 'Print JSON; for --watch and ping, an object a line.'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers" config' -l 'config' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers" socket' -l 'socket' -d 'Talk to the daemon at this socket (default: the one that runs here).' -rF
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers" of' -l 'of' -d 'Talk to the relay, the device, or the device of this --name (default: the only daemon that runs here).' -rfka '(__mnedc-peers_custom_completion ---completion -- --of (count (__mnedc-peers_tokens -pc)) (__mnedc-peers_tokens -tC))'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers" timeout' -l 'timeout' -d 'Wait this long for the answer (default: 5s).' -rfka ''
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_positional "mnedc-peers" -eq 1' -fa 'list' -d 'Lists the devices; the default command.'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_positional "mnedc-peers" -eq 1' -fa 'show' -d 'Shows all that is known of one device.'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_positional "mnedc-peers" -eq 1' -fa 'ping' -d 'Measures the round trip to a device, end to end.'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_positional "mnedc-peers" -eq 1' -fa 'help' -d 'Show subcommand help information.'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers list"' -l 'service' -d 'Only with this service up; repeatable (no default).' -rfka '(__mnedc-peers_custom_completion ---completion list -- --service (count (__mnedc-peers_tokens -pc)) (__mnedc-peers_tokens -tC))'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers list"' -l 'platform' -d 'Only on this platform; repeatable (no default).' -rfka '(__mnedc-peers_custom_completion ---completion list -- --platform (count (__mnedc-peers_tokens -pc)) (__mnedc-peers_tokens -tC))'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers list"' -l 'label' -d 'Only with this label; repeatable (no default).' -rfka '(__mnedc-peers_custom_completion ---completion list -- --label (count (__mnedc-peers_tokens -pc)) (__mnedc-peers_tokens -tC))'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers list"' -l 'state' -d 'Only in this state: online, silent, untrusted, unknown; repeatable (no default).' -rfka 'online silent untrusted unknown'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers list" sort' -l 'sort' -d 'By address, id, rtt, load, proof (default: address).' -rfka 'address id rtt load proof'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers list" limit' -l 'limit' -d 'List at most this many (default: all of them).' -rfka ''
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers list" wide' -l 'wide' -d 'Show more columns, and do not cut lines.'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers list" no-header' -l 'no-header' -d 'Print no column names and no remarks.'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers list" tree' -l 'tree' -d 'Show behind which NAT each device is.'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers list" fetch' -l 'fetch' -d 'First ask peers for what is not known of them.'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers list" watch' -l 'watch' -d 'Keep showing changes until interrupted.'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers list" json' -l 'json' -d 'Print JSON; for --watch and ping, an object a line.'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers list" config' -l 'config' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers list" socket' -l 'socket' -d 'Talk to the daemon at this socket (default: the one that runs here).' -rF
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers list" of' -l 'of' -d 'Talk to the relay, the device, or the device of this --name (default: the only daemon that runs here).' -rfka '(__mnedc-peers_custom_completion ---completion list -- --of (count (__mnedc-peers_tokens -pc)) (__mnedc-peers_tokens -tC))'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers list" timeout' -l 'timeout' -d 'Wait this long for the answer (default: 5s).' -rfka ''
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers list" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers list" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_positional "mnedc-peers show" -eq 1' -fka '(__mnedc-peers_custom_completion ---completion show -- positional@0 (count (__mnedc-peers_tokens -pc)) (__mnedc-peers_tokens -tC))'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers show" json' -l 'json' -d 'Print JSON; for --watch and ping, an object a line.'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers show" config' -l 'config' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers show" socket' -l 'socket' -d 'Talk to the daemon at this socket (default: the one that runs here).' -rF
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers show" of' -l 'of' -d 'Talk to the relay, the device, or the device of this --name (default: the only daemon that runs here).' -rfka '(__mnedc-peers_custom_completion ---completion show -- --of (count (__mnedc-peers_tokens -pc)) (__mnedc-peers_tokens -tC))'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers show" timeout' -l 'timeout' -d 'Wait this long for the answer (default: 5s).' -rfka ''
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers show" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers show" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_positional "mnedc-peers ping" -eq 1' -fka '(__mnedc-peers_custom_completion ---completion ping -- positional@0 (count (__mnedc-peers_tokens -pc)) (__mnedc-peers_tokens -tC))'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers ping" c count' -l 'count' -s 'c' -d 'Ping this many times (default: 5).' -rfka ''
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers ping" i interval' -l 'interval' -s 'i' -d 'Wait this long from one ping to the next (default: 1s).' -rfka ''
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers ping" json' -l 'json' -d 'Print JSON; for --watch and ping, an object a line.'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers ping" config' -l 'config' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers ping" socket' -l 'socket' -d 'Talk to the daemon at this socket (default: the one that runs here).' -rF
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers ping" of' -l 'of' -d 'Talk to the relay, the device, or the device of this --name (default: the only daemon that runs here).' -rfka '(__mnedc-peers_custom_completion ---completion ping -- --of (count (__mnedc-peers_tokens -pc)) (__mnedc-peers_tokens -tC))'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers ping" timeout' -l 'timeout' -d 'Wait this long for the answer (default: 5s).' -rfka ''
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers ping" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers ping" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers help" version' -l 'version' -d 'Show the version.'
