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
        __mnedc-peers_parse_subcommand 0 'c/config=' 'socket=' 'timeout=' 'json' 'version' 'h/help'
        switch $unparsed_tokens[1]
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
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers" c config' -l 'config' -s 'c' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers" socket' -l 'socket' -d 'Talk to the daemon at this socket (default: the one that runs here).' -rF
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers" timeout' -l 'timeout' -d 'Wait this long for the answer (default: 5s).' -rfka ''
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers" json' -l 'json' -d 'Print JSON.'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_positional "mnedc-peers" -eq 1' -fa 'help' -d 'Show subcommand help information.'
complete -c 'mnedc-peers' -n '__mnedc-peers_should_offer_completions_for_flags_or_options "mnedc-peers help" version' -l 'version' -d 'Show the version.'
