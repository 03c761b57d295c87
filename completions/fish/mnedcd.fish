function __mnedcd_should_offer_completions_for_flags_or_options -a expected_commands
    set -l non_repeating_flags_or_options $argv[2..]
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __mnedcd_parse_tokens
    test "$commands" = "$expected_commands"; and return $non_repeating_flags_or_options_absent
end

function __mnedcd_should_offer_completions_for_positional -a expected_commands positional_index_comparison expected_positional_index
    set -l non_repeating_flags_or_options
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __mnedcd_parse_tokens
    test "$commands" = "$expected_commands" -a \( "$positional_index" "$positional_index_comparison" "$expected_positional_index" \)
end

function __mnedcd_parse_tokens -S
    set -l unparsed_tokens (__mnedcd_tokens -pc)
    switch $unparsed_tokens[1]
    case 'mnedcd'
        __mnedcd_parse_subcommand 0 'c/config=' 'l/listen=+' 'p/pool=' 'admission=' 'no-device' 'i/interface=' 'socket=' 'state=' 'new-key' 'log-level=' 'check' 'version' 'h/help'
        switch $unparsed_tokens[1]
        case 'help'
            __mnedcd_parse_subcommand -r 1 'version'
        end
    end
end

function __mnedcd_tokens
    if test (string split -m 1 -f 1 -- . "$FISH_VERSION") -gt 3
        commandline --tokens-raw $argv
    else
        commandline -o $argv
    end
end

function __mnedcd_parse_subcommand -S -a positional_count
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

function __mnedcd_complete_directories
    set -l token (commandline -t)
    string match -- '*/' $token
    set -l subdirs $token*/
    printf %s\n $subdirs
end

function __mnedcd_custom_completion
    set -x SAP_SHELL fish
    set -x SAP_SHELL_VERSION $FISH_VERSION
    set -l tokens (__mnedcd_tokens -p)
    if test -z "$(__mnedcd_tokens -t)"
        set -l index (count (__mnedcd_tokens -pc))
        set tokens $tokens[..$index] \'\' $tokens[(math $index + 1)..]
    end
    command $tokens[1] $argv $tokens
end

complete -c 'mnedcd' -f
complete -c 'mnedcd' -n '__mnedcd_should_offer_completions_for_flags_or_options "mnedcd" c config' -l 'config' -s 'c' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedcd' -n '__mnedcd_should_offer_completions_for_flags_or_options "mnedcd"' -l 'listen' -s 'l' -d 'Listen here, or auto: [::]:3334 (default: auto); may be given several times.' -rfka ''
complete -c 'mnedcd' -n '__mnedcd_should_offer_completions_for_flags_or_options "mnedcd" p pool' -l 'pool' -s 'p' -d 'Lease virtual addresses from this network, or choose one: auto (default: 10.0.0.0/24).' -rfka ''
complete -c 'mnedcd' -n '__mnedcd_should_offer_completions_for_flags_or_options "mnedcd" admission' -l 'admission' -d 'Let new devices join by invite, approve or open (default: invite).' -rfka 'invite approve open'
complete -c 'mnedcd' -n '__mnedcd_should_offer_completions_for_flags_or_options "mnedcd" no-device' -l 'no-device' -d 'Only relay: this host gets no virtual address, and no privilege is needed.'
complete -c 'mnedcd' -n '__mnedcd_should_offer_completions_for_flags_or_options "mnedcd" i interface' -l 'interface' -s 'i' -d 'Name this host\'s TUN interface so (default: mnedc0).' -rfka '(__mnedcd_custom_completion ---completion -- --interface (count (__mnedcd_tokens -pc)) (__mnedcd_tokens -tC))'
complete -c 'mnedcd' -n '__mnedcd_should_offer_completions_for_flags_or_options "mnedcd" socket' -l 'socket' -d 'Listen for mnedc-ctl and mnedc-peers here (default: /run/mnedc/mnedcd.sock).' -rF
complete -c 'mnedcd' -n '__mnedcd_should_offer_completions_for_flags_or_options "mnedcd" state' -l 'state' -d 'Keep keys and what else must outlive the program here (default: /var/lib/mnedcd).' -rfa '(__mnedcd_complete_directories)'
complete -c 'mnedcd' -n '__mnedcd_should_offer_completions_for_flags_or_options "mnedcd" new-key' -l 'new-key' -d 'Make a new key if relay.key is lost, which every device has to be told by hand.'
complete -c 'mnedcd' -n '__mnedcd_should_offer_completions_for_flags_or_options "mnedcd" log-level' -l 'log-level' -d 'Log this and worse: trace, debug, info, notice, warning, error, critical (default: info).' -rfka 'trace debug info notice warning error critical'
complete -c 'mnedcd' -n '__mnedcd_should_offer_completions_for_flags_or_options "mnedcd" check' -l 'check' -d 'Check the configuration, print it, and exit.'
complete -c 'mnedcd' -n '__mnedcd_should_offer_completions_for_flags_or_options "mnedcd" version' -l 'version' -d 'Show the version.'
complete -c 'mnedcd' -n '__mnedcd_should_offer_completions_for_flags_or_options "mnedcd" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedcd' -n '__mnedcd_should_offer_completions_for_positional "mnedcd" -eq 1' -fa 'help' -d 'Show subcommand help information.'
complete -c 'mnedcd' -n '__mnedcd_should_offer_completions_for_flags_or_options "mnedcd help" version' -l 'version' -d 'Show the version.'
