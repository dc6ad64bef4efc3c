# weftctl against a running node: what operators do by hand, and what their scripts rely on.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Handle;
use IO::Select;
use JSON::PP ();
use Test::More;
use Weft::Test;
use Weft::Test::Weftctl;

my $t     = Weft::Test->new;
my $key   = $t->key_file;
my $rules = "weft_channel chat:** { publish on; presence on; history 1000 10m; }\nweft_channel ** { publish on; }\n";
my ($a, $b) = $t->mesh('a', 'b', {
    rules => $rules, location => "weft_ticket key=$key; weft_rate off;",
    shards => $ENV{WEFT_SHARDS} // 1,
});
my $weftctl = Weft::Test::Weftctl->path;
my $json    = JSON::PP->new->allow_nonref->canonical;

my $once    = Weft::Test::Weftctl->new($t);
sub run_it { my (@words) = @_; return $once->run(@words) }
sub at     { my ($node) = @_; return Weft::Test::Weftctl::at($node) }

# A weftctl that goes on: reads lines of it.
package Follower {
    sub new {
        my ($class, @words) = @_;
        my $pid = open my $out, '-|', $weftctl, @words or die "weftctl: $!\n";
        $out->blocking(0);
        return bless { pid => $pid, out => $out, in => '' }, $class;
    }
    sub line {
        my ($self) = @_;
        my $until = time + $Weft::Client::TIMEOUT;
        while (1) {
            return $1 if $self->{in} =~ s/^(.*)\n//;
            die "no line comes\n" if time > $until;
            IO::Select->new($self->{out})->can_read(0.2) or next;
            sysread($self->{out}, $self->{in}, 65536, length $self->{in}) or die "it has ended\n";
        }
    }
    sub interrupt { my ($self) = @_; kill INT => $self->{pid}; close $self->{out}; return $? }
    sub DESTROY { my ($self) = @_; return if !$self->{out} || !fileno $self->{out}; kill KILL => $self->{pid}; close $self->{out}; return }
}

package main;

# A subscriber that is known to hear: it has printed a publication of ours.
sub follow {
    my ($node, $channel, @more) = @_;
    my $follower = Follower->new('subscribe', $channel, at($node), '--json', @more);
    my $heard;
    wait_for {
        run_it('publish', $channel, '"are you there?"', at($node))->{status} == 0 or die "publish fails\n";
        IO::Select->new($follower->{out})->can_read(0.5);
    } or die "nothing is heard\n";
    # Each question is heard, once at least; the next line that isn't one is the caller's.
    return $follower;
}
sub next_heard {
    my ($follower) = @_;
    while (1) {
        my $heard = $json->decode($follower->line);
        return $heard unless ($heard->{data} // '') eq 'are you there?';
    }
}

check 'publish reaches clients of both nodes, and says what became of it' => sub {
    my @clients = ($a->client, $b->client);
    $_->subscribe('chat:ctl') for @clients;
    my $done = run_it('publish', 'chat:ctl', '{"n": 1.50}', at($a));
    is($done->{status}, 0, 'status 0') or diag($done->{err});
    like($done->{out}, qr/^[^\t\n]+\t[^\t\n]+\n$/, 'message_id and position');
    is($_->event->{data}{n}, '1.5', 'heard') for @clients;
    my $again = run_it('publish', 'chat:ctl', '-', '--text', '--id', 'mine', '--json', at($b), { in => "two\nlines" });
    is($json->decode($again->{out})->{message_id}, 'mine', 'its own id, as JSON');
    is($_->event->{data}, "two\nlines", 'a text, from standard input') for @clients;
};

check 'subscribe follows a channel over a restart of weftd, and goes on from a position' => sub {
    my $follower = follow($a, 'chat:follow');
    run_it('publish', 'chat:follow', '1', at($b));
    my $heard = next_heard($follower);
    is($heard->{data}, 1, 'from the other node');
    ok($heard->{position} && $heard->{message_id} && $heard->{timestamp}, 'with all that an event has');
    $a->weftd->crash;
    run_it('publish', 'chat:follow', '2', at($b));
    $a->weftd->start;
    $a->wait_linked;
    run_it('publish', 'chat:follow', '3', at($b));
    is(next_heard($follower)->{data}, $_, "then $_") for 2, 3;
    is($follower->interrupt, 0, 'an interrupt ends it with status 0');
    my $rest = run_it('subscribe', 'chat:follow', '--from', $heard->{position}, '--count', 2, '--json', at($b));
    is_deeply([ map { $json->decode($_)->{data} } split /\n/, $rest->{out} ], [ 2, 3 ], '--from and --count');
};

check 'history and presence are read page by page' => sub {
    my $client = $a->client(sub => 'reader');
    $client->subscribe('chat:pages');
    $client->must('publish', channel => 'chat:pages', data => 'x' x 2000 . $_) for 1 .. 100;
    my $all = run_it('history', 'chat:pages', '--json', at($a));
    my @events = map { $json->decode($_) } split /\n/, $all->{out};
    is(@events, 100, 'more than one page of history') or diag($all->{err});
    is($events[99]{data}, 'x' x 2000 . '100', 'in order');
    my $some = run_it('history', 'chat:pages', '--after', $events[59]{position}, '--limit', 30, at($a));
    my @lines = split /\n/, $some->{out};
    is(@lines, 30, 'a limit');
    like($lines[0], qr/^\d{4}-\S+Z\t\S+\treader\t"x+61"$/, 'for people: time, position, user, data');
    my $members = run_it('presence', 'chat:pages', '--json', at($b));
    wait_for { ($members = run_it('presence', 'chat:pages', '--json', at($b)))->{out} } or die "no member\n";
    is($json->decode($members->{out})->{user}, 'reader', 'who is there, from the other node');
};

check 'channels, nodes and top look at the whole mesh' => sub {
    my @clients = ($a->client, $a->client, $b->client);
    $_->subscribe('chat:wide') for @clients;
    $b->client->subscribe("list:$_") for 1 .. 30;
    my %count;
    ok(wait_for {
        %count = map { my $one = $json->decode($_); $one->{channel} => $one->{subscribers} }
            split /\n/, run_it('channels', '--json', at($a))->{out};
        ($count{'chat:wide'} // 0) == 3;
    }, 'subscribers of both nodes are counted') or diag(explain(\%count));
    my $matching;
    ok(wait_for { ($matching = run_it('channels', 'list:*', at($a)))->{out} eq '' }, 'whoever has gone is not') or diag($matching->{out});
    my %nodes;
    # Nodes tell each other from time to time.
    my $told = wait_for {
        %nodes = map { my $one = $json->decode($_); $one->{node} => $one } split /\n/, run_it('nodes', '--json', at($b))->{out};
        my $one = $nodes{a} // {};
        $one->{up} && $one->{workers} >= 1 && $one->{peers} == 1 && $one->{connections} >= 2;
    };
    is_deeply([ sort keys %nodes ], [ 'a', 'b' ], 'nodes');
    ok($told, 'and what each does') or diag(explain(\%nodes));
    like(run_it('nodes', at($a))->{out}, qr{^node\tup\t.*\na\tyes\tweft/}, 'for people');
    my $top = Follower->new('top', '--json', '--interval', 0.2, at($a));
    my %seen;
    wait_for {
        $clients[0]->must('publish', channel => 'chat:wide', data => 1);
        my $look = $json->decode($top->line);
        $seen{ $look->{node} } = 1;
        $seen{rate} = 1 if $look->{node} eq 'a' && $look->{published_per_second} > 0;
        keys %seen == 3;
    };
    is_deeply([ sort keys %seen ], [ 'a', 'b', 'rate' ], 'top tells rates of each');
    is($top->interrupt, 0, 'until it is interrupted');
    my @looks = split /\n/, run_it('top', '--count', 2, '--interval', 0.1, at($a))->{out};
    is(grep({ /^NODE/ } @looks), 2, 'or has looked often enough');
};

check 'rpc calls a method' => sub {
    is(run_it('rpc', 'weft.echo', '{"a":[1]}', at($a))->{out}, qq({"a":[1]}\n), 'its result');
    my $none = run_it('rpc', 'no.such', at($a));
    is($none->{status}, 1, 'an error is status 1');
    like($none->{err}, qr/^weftctl: no method "no\.such" \(4018 method_not_found\)$/m, 'and says which');
};

check 'wrong use is status 2 and names what was expected; an absent weftd is status 1' => sub {
    my @wrong = (
        [ [ 'publish',   'bad channel', '1' ],     qr/bad channel: expected 1 to 255 bytes/ ],
        [ [ 'publish',   'chat:x', '{' ],          qr/not valid JSON.*or --text/ ],
        [ [ 'publish',   'chat:x' ],               qr/data is required/ ],
        [ [ 'publish',   'chat:x', '1', '--id', 'x' x 65 ], qr/message_id.*1 to 64 bytes/ ],
        [ [ 'subscribe', 'chat:x', '--from', '?' ], qr/--from \?: / ],
        [ [ 'history',   'chat:x', '--after', '?' ], qr/--after \?: / ],
        [ [ 'history',   'chat:x', '--limit', '0' ], qr/--limit/ ],
        [ [ 'channels',  'chat**' ],               qr/pattern chat\*\*: / ],
        [ [ 'clients',   '--channel', 'a b' ],     qr/a b: expected 1 to 255 bytes/ ],
        [ [ 'clients',   '--limit', '0' ],         qr/--limit/ ],
        [ [ 'clients',   '--user', '' ],           qr/--user: it is empty/ ],
        [ [ 'rpc',       'a.b', 'x' ],             qr/the params are not valid JSON/ ],
        [ [ 'completion', 'fish' ],                qr/bash.*zsh/s ],
        [ [ 'nonsense' ],                          qr/./ ],
    );
    for my $case (@wrong) {
        my ($words, $why) = @$case;
        my $done = run_it(@$words);
        is($done->{status}, 2, "@$words");
        like($done->{err}, $why, 'says why');
    }
    my $away = run_it('publish', 'chat:x', '1', '--sidecar', 'ipc://' . $t->prefix . '/nobody', '--timeout', '0.3');
    is($away->{status}, 1, 'nobody there');
    like($away->{err}, qr/no weftd answers at ipc:/, 'is said');
};

check 'check looks at both configurations and whether they fit' => sub {
    my $folder = $t->prefix . '/check';
    mkdir $folder;
    mkdir "$folder/logs";
    my $conf = sub {
        my ($http) = @_;
        spew("$folder/nginx.conf", "load_module $Weft::Test::BUILD/ngx_http_weft_module.so;\nerror_log stderr;\npid $folder/pid;\nevents {}\n"
            . "http { access_log off; $http server { listen 127.0.0.1:" . $t->port . "; location /ws { weft_websocket; weft_ticket key=$key; } } }\n");
    };
    my @command = ('check', '--nginx', $Weft::Test::NGINX, '--weftd', "$Weft::Test::BUILD/weftd", '--prefix', "$folder/",
        '--nginx-conf', "$folder/nginx.conf", '--weftd-config', "$folder/weftd.yaml");
    my $address = $a->weftd->worker_address;
    spew("$folder/weftd.yaml", "workers: {listen: \"$address\"}\n");
    $conf->("weft_sidecar $address; weft_channel ** {}");
    my $fine = run_it(@command, '--running');
    is($fine->{status}, 0, 'status 0') or diag("$fine->{out}$fine->{err}");
    like($fine->{out}, qr/^ok +together: nginx dials where weftd listens/m, 'they fit');
    like($fine->{out}, qr/^ok +running: a weftd answers/m, 'and it runs');
    $conf->("weft_sidecar ipc:///elsewhere; weft_channel ** {}");
    my $apart = run_it(@command, '--json');
    is($apart->{status}, 1, 'status 1 when nginx dials elsewhere');
    my %found = map { my $one = $json->decode($_); $one->{check} => $one } split /\n/, $apart->{out};
    ok(!$found{together}{ok} && $found{together}{message} =~ m{ipc:///elsewhere .*listens at \Q$address\E}, 'both addresses are named');
    $conf->("weft_rate 5r/fortnight;");
    my $broken = run_it(@command);
    like($broken->{out}, qr/^problem nginx: .*weft_rate.*nginx\.conf:\d+/m, "nginx's own words");
    spew("$folder/weftd.yaml", "workers: {listen: 7}\n");
    like(run_it(@command)->{out}, qr/^problem weftd: /m, "and weftd's");
};

check 'completion completes what there is' => sub {
    my $script = run_it('completion', 'bash')->{out};
    spew($t->prefix . '/completion', $script);
    my $complete = sub {
        my (@words) = @_;
        my $quoted = join ' ', map { "'$_'" } 'weftctl', @words;
        my $bash = ". '" . $t->prefix . "/completion'; COMP_WORDS=($quoted); COMP_CWORD=" . @words . '; _weftctl; echo "${COMPREPLY[@]}"';
        open my $pipe, '-|', 'bash', '-c', $bash or die "bash: $!\n";
        return join '', <$pipe>;
    };
    is($complete->('pub'), "publish\n", 'a command');
    is($complete->('subscribe', 'chat:x', '--fr'), "--from\n", 'an option');
    like($complete->('keygen', ''), qr/\bcurve\b/, 'a command of a command');
};

check 'docs/weftctl.md names each command and each of its options' => sub {
    my $docs   = slurp("$FindBin::Bin/../docs/weftctl.md");
    my $script = run_it('completion', 'bash')->{out};
    my %words;
    $words{$1} = [ split ' ', $2 ] while $script =~ /^    '([^']+)'\*\) words='([^']*)' ;;$/mg;
    cmp_ok(keys %words, '>', 10, 'commands');
    like($docs, qr/`\Q$_\E\b/, $_) for sort keys %words;
    my %option = map { $_ => 1 } grep { /^--/ } map { @$_ } values %words;
    delete @option{qw(--help --sub --jti)};    # of --user and --id, other names
    like($docs, qr/\Q$_\E\b/, $_) for sort keys %option;
};

$t->finish;
done_testing;
