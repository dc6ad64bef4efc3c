# CURVE between nodes: keys made by weftctl, who is let in, who isn't, and what goes over the wire.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Handle;
use IO::Select;
use IO::Socket::IP;
use POSIX ();
use Test::More;
use Weft::Test;

local $SIG{PIPE} = 'IGNORE';
my $t      = Weft::Test->new(needs => [qw(ngx_http_weft_module.so weftd weftctl)]);
my $folder = $t->prefix;
my $allow  = "$folder/peers.pub";
my $secret = 'nobody between two nodes reads this';
my %with   = (location => 'weft_ticket key=' . $t->key_file . '; weft_rate off;');
my %line;    # of each node, for the file of the allowed keys

# What weftctl prints, on stderr too, and its status.
sub weftctl {
    my @arguments = @_;
    open my $out, '-|', "$Weft::Test::BUILD/weftctl " . join(' ', map { "'$_'" } @arguments) . ' 2>&1' or die "weftctl: $!\n";
    my $text = do { local $/; <$out> };
    close $out;
    return ($text, $? >> 8);
}
sub new_key {
    my ($name, @more) = @_;
    my ($text, $status) = weftctl('keygen', 'curve', "$folder/$name.key", @more);
    die "weftctl: $text\n" if $status;
    return $line{$name} = $text;
}

# As who replaces a file with care.
sub allow {
    my (@names) = @_;
    spew("$allow.new", "# who may be a peer\n\n" . join '', map { $line{$_} } @names);
    rename "$allow.new", $allow or die "$allow: $!\n";
    return;
}
sub curve {
    my ($name) = @_;
    return (weftd_yaml => "  curve: {secret_key: $folder/$name.key, allow: $allow}\n");
}
sub hears {
    my ($from, $to, $data) = @_;
    my ($publisher, $subscriber) = ($from->client, $to->client);
    my $channel = 'chat:' . int rand 1e9;
    $subscriber->subscribe($channel);
    return wait_for {
        $publisher->must('publish', channel => $channel, data => $data // 1);
        $subscriber->event(timeout => 0.2, quiet => 1);
    };
}
sub logs {
    my ($node, $pattern, $from) = @_;
    return wait_for { substr($node->weftd->log_text, $from // 0) =~ $pattern };
}

# Carries bytes between whoever connects to a port and another port, and writes them down. Returns its process.
sub eavesdrop {
    my ($port, $to, $file) = @_;
    my $listen = IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => $port, Listen => 5, ReuseAddr => 1) or die "$port: $!\n";
    my $pid = fork // die "fork: $!\n";
    if ($pid) {
        setpgrp $pid, $pid;
        Weft::Test::Process::watch($pid);
        return $pid;
    }
    setpgrp;
    open my $log, '>:raw', $file or POSIX::_exit(1);
    $log->autoflush;
    my $all = IO::Select->new($listen);
    my %other;
    while (my @ready = $all->can_read) {
        for my $socket (@ready) {
            if ($socket == $listen) {
                my $one = $listen->accept or next;
                my $two = IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => $to) or next;
                @other{ $one, $two } = ($two, $one);
                $all->add($one, $two);
            }
            elsif (my $other = $other{$socket}) {
                if (sysread $socket, my $bytes, 65536) {
                    print {$log} $bytes;
                    syswrite $other, $bytes;
                }
                else {
                    $all->remove($_), delete $other{$_}, close $_ for $socket, $other;
                }
            }
        }
    }
    POSIX::_exit(0);
}
sub end_of {
    my ($pid) = @_;
    kill KILL => $pid;
    waitpid $pid, 0;
    Weft::Test::Process::forget($pid);
    return;
}

check 'weftctl makes keys' => sub {
    my $text = new_key('a', '--node', 'a');
    like($text, qr/^\S{40} a\n\z/, 'the public one is printed as a line for the list');
    is((stat "$folder/a.key")[2] & 0777, 0600, 'nobody else may read the secret one');
    my $before = slurp("$folder/a.key");
    my ($key) = $before =~ /^(\S+)\n\z/m;
    is(index($text, $key), -1, 'which is not printed');
    my ($said, $status) = weftctl('keygen', 'curve', "$folder/a.key");
    is($status, 1, 'a file that is there');
    like($said, qr/can't make .*a\.key: File exists/, 'is not replaced');
    is(slurp("$folder/a.key"), $before, 'and keeps its key');
    is((weftctl('keygen', 'curve', "$folder/x.key", '--node', "x y"))[1], 2, 'a name that can\'t be one');
    is((weftctl('keygen', 'curve'))[1], 2, 'no file');
    like((weftctl('keygen'))[0], qr/^base64:/, 'keys for tickets are made as ever');
    new_key('b', '--node', 'b');
    new_key('c');
};

check 'weftd says what is wrong with keys' => sub {
    my $start = sub {
        my ($secret_key, $keys) = @_;
        state $n = 0;
        my $weftd = $t->weftd('bad' . ++$n, stopped => 1, mesh => 'tcp://10.1.2.3:7400',
            weftd_yaml => "  curve: {secret_key: $secret_key, allow: $keys}\n");
        return eval { $weftd->start; 1 } ? 'it starts' : $@;
    };
    spew($allow, $line{a});
    spew("$folder/wrong.pub", "# a remark\n$line{a}not-a-key b\n");
    spew("$folder/open.key", slurp("$folder/a.key"));
    chmod 0644, "$folder/open.key";
    like($start->("$folder/none.key", $allow), qr{mesh\.curve\.secret_key: .*none\.key can't be opened: No such file}, 'no file');
    like($start->("$folder/open.key", $allow), qr{open\.key can be read by everybody; expected a file of mode 0600}, 'an open one');
    chmod 0600, "$folder/wrong.pub";
    like($start->("$folder/wrong.pub", $allow), qr{wrong\.pub has no secret key; expected what "?\\?"?weftctl}, 'a file of another kind');
    like($start->("$folder/a.key", "$folder/wrong.pub"), qr{wrong\.pub, line 3: no key; expected a public key of 40}, 'a line that holds none');
};
$t->expect_in_log(qr/event=failed/);

my $shards = $ENV{WEFT_SHARDS} || 1;
allow('a', 'b');
my %port = map { $_ => $t->port } qw(a b c d ear);
my %mesh = map { $_ => "tcp://127.0.0.1:$port{$_}" } keys %port;

# What was heard of all shards' links.
sub heard { return join '', map { slurp("$folder/heard$_") } 0 .. $shards - 1 }

check 'plain links can be read on the way' => sub {
    my @ears = map { eavesdrop($port{ear} + $_, $port{b} + $_, "$folder/heard$_") } 0 .. $shards - 1;
    my $plain_b = $t->node('plain-b', mesh => $mesh{b}, %with);
    my $plain_a = $t->node('plain-a', mesh => $mesh{a}, peers => [ $mesh{ear} ], %with);
    ok(hears($plain_b, $plain_a, $secret), 'nodes talk over a third');
    like(heard(), qr/$secret/, 'which reads along');
    $_->stop for $plain_a, $plain_b;
    end_of($_) for @ears;
};

my ($a, $b, $c);

check 'with CURVE they can not' => sub {
    my @ears = map { eavesdrop($port{ear} + $_, $port{b} + $_, "$folder/heard$_") } 0 .. $shards - 1;
    $b = $t->node('b', mesh => $mesh{b}, peers => [ $mesh{a} ], curve('b'), %with);
    $a = $t->node('a', mesh => $mesh{a}, peers => [ $mesh{ear} ], curve('a'), %with);
    ok(hears($b, $a, $secret), 'nodes talk over a third');
    my $heard = heard();
    ok(length $heard > 1000, 'which sees that they do');
    unlike($heard, qr/$secret|event|chat:/, 'and not what');
    $a->weftd->write_configuration(peers => [ $mesh{b} ]);
    $a->weftd->signal('HUP');
    ok(logs($a, qr/peer_removed endpoint=$mesh{ear}/), 'they do without it');
    end_of($_) for @ears;
    ok(hears($b, $a), 'directly');
    ok(hears($a, $b), 'both ways');
};

check 'who has no allowed key is kept out, and told of' => sub {
    $c = $t->node('c', mesh => $mesh{c}, peers => [ $mesh{a}, $mesh{b} ], curve('c'), %with);
    my $prefix = quotemeta substr $line{c}, 0, 8;
    ok(logs($a, qr/event=peer_key_refused key="?$prefix"? address=127\.0\.0\.1 why="this key is not in \Q$allow\E"/), 'its key and address');
    my $whole = quotemeta $line{c} =~ s/\s.*//sr;
    ok(logs($c, qr/event=peer_unreachable .*it refuses this node's key; expected $whole in/), 'it is told, too');
    my $plain = $t->weftd('plain', mesh => $mesh{d}, peers => [ $mesh{a} ]);
    ok(wait_for { $plain->log_text =~ /peer_unreachable.*the handshake failed/ }, 'nor comes one in without CURVE');
    $plain->stop;
    unlike($a->weftd->log_text, qr/peer_up peer=(?:c|plain)/, 'neither got in');
    ok(hears($a, $b), 'the others go on');
};

check 'a stranger\'s bytes are not kept' => sub {
    my $memory = sub { my ($kb) = slurp("/proc/$_[0]/status") =~ /^VmRSS:\s+(\d+)/m; return $kb << 10 };
    my $before = $memory->($a->weftd->pid);
    # ZMTP 3.0: a greeting for CURVE, and then what should be its 200 bytes of HELLO.
    my $greeting = pack 'C x8 C C2 a20 C x31', 0xff, 0x7f, 3, 0, 'CURVE', 0;
    my $large    = pack('C Q>', 6, 8 << 20) . 'x' x (8 << 20);
    my @open;
    for (1 .. 16) {
        push @open, my $socket = IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => $port{a}) or die "connect: $!\n";
        print {$socket} $greeting, $large;
        $socket->flush;
    }
    my $closed = grep { my $one = $_; IO::Select->new($one)->can_read(20) && do { 1 while sysread $one, my $bytes, 4096; 1 } } @open;
    is($closed, 16, 'each is hung up on');
    cmp_ok($memory->($a->weftd->pid) - $before, '<', (48 << 20) + $Weft::Test::SANITIZER_MEMORY, 'of 128 MiB little is left');
    ok(hears($b, $a), 'the others go on');
};

check 'a key that is added lets its node in, without a restart' => sub {
    my $links = () = $a->weftd->log_text =~ /peer_up/g;
    $a->weftd->write_configuration(peers => [ @mesh{qw(b c)} ]);
    $b->weftd->write_configuration(peers => [ @mesh{qw(a c)} ]);
    allow('a', 'b', 'c');
    $_->weftd->signal('HUP') for $a, $b;
    ok(hears($c, $_), $_->name . ' hears it') for $a, $b;
    ok(hears($_, $c), 'and it hears ' . $_->name) for $a, $b;
    my $new = 2 * $shards;    # each shard dials and is dialed
    ok(wait_for { (() = $a->weftd->log_text =~ /peer_up/g) >= $links + $new }, 'all of its links are there');
    is(scalar(() = $a->weftd->log_text =~ /peer_up/g), $links + $new, 'the other links stayed up');
};

check 'a key that is taken away ends its links' => sub {
    my $from = length $a->weftd->log_text;
    allow('a', 'b');
    ok(logs($a, qr/peer_down peer=c direction=in why="its key is not among/, $from), 'it is sent away');
    ok(logs($a, qr/peer_down peer=c direction=out/, $from), 'and not listened to');
    ok(logs($a, qr/link_rejected role=peer name=c/, $from), 'nor let in on the connection that it has');
    ok(hears($a, $b), 'the others go on');
    allow('a', 'b', 'c');
    ok(hears($c, $a), 'until it is there again');
};

check 'a key with a name is for that node only' => sub {
    my $from = length $a->weftd->log_text;
    $c->weftd->stop;
    my $false = $t->weftd('mallory', mesh => $mesh{d}, peers => [ $mesh{a} ], curve('b'));
    ok(logs($a, qr/link_rejected role=peer name=mallory .*why="it is named mallory, and its key is allowed for node b only"/, $from), 'refused');
    $false->stop;
    $c->weftd->start;
    $c->wait_linked;
    ok(hears($c, $a), 'one without a name is for any');
};

check 'a list that is broken changes nothing' => sub {
    my $from = length $a->weftd->log_text;
    spew("$allow.new", "rubbish\n");
    rename "$allow.new", $allow;
    ok(logs($a, qr/peer_keys_unreadable .*line 1: no key.*the old keys stay/, $from), 'it is told');
    ok(hears($b, $a), 'links stay');
    $b->weftd->crash;
    allow(qw(a b c));
    $b->weftd->start;
    $b->wait_linked;
    ok(hears($b, $a), 'and it is read when it is whole again');
};
$t->expect_in_log(qr/peer_keys_unreadable/);

$t->finish;
done_testing;
