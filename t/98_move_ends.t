# Connections that come to an end while they move from one worker to another, and those that can't come along.
# (t/95_move.t: the others.)
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::UNIX;
use POSIX ();
use Test::More;
use Weft::Test;
use Weft::Test::Weftctl;

my $t    = Weft::Test->new(needs => [qw(ngx_http_weft_module.so weftd weftctl)]);
my $key  = $t->key_file;
# Who were drained in place of moving would be here for ten minutes, rather than be closed before what is looked for.
my $node = $t->node('a', workers => 2, location => "weft_ticket key=$key; weft_rate off; weft_send_queue 64m; weft_subscriptions 100000;",
    http => <<'HTTP');
    weft_drain 600s;
    weft_channel room:* { publish on; presence on debounce=1s; }
HTTP
my $nginx   = $node->nginx;
my $weftctl = Weft::Test::Weftctl->new($t);

# What becomes of a client that hears of a publication or is closed: "served", a close code, or "cut".
sub fate {
    my ($client) = @_;
    return 'served' if eval { $client->event };
    return eval { $client->read_close->{code} } // 'cut';
}
sub told { my (%ended) = @_; return join ', ', map { "$ended{$_} $_" } sort keys %ended }
sub nobody_is_counted { return ok(wait_for { $node->status->{connections}{active} == 0 }, 'none is counted that is not there') }

check 'a user who is banned about the time of a reload ends with 4009, wherever the news finds them' => sub {
    my $watcher = $node->client(sub => 'watcher');
    $watcher->subscribe('room:bans');
    my $bystander = $node->client(sub => 'bystander');
    $bystander->subscribe($_) for 'room:bans', 'chat:bans';
    for my $round (1 .. 3) {
        my @users   = map { "banned-$round-$_" } 1 .. 12;
        my @victims = map { $node->client(sub => $_) } @users;
        for my $client (@victims) { $client->subscribe($_) for 'room:bans', 'chat:bans' }
        my @old = $nginx->workers;
        # Some before the signal, some while new workers start, some while connections move, some perhaps when they have:
        # it must come to the same.
        for my $i (0 .. $#users) {
            $nginx->signal('HUP') if $i == $round;
            my $done = $weftctl->run('ban', '--user', $users[$i], '--for', '1h', Weft::Test::Weftctl::at($node));
            is($done->{status}, 0, "$users[$i] is banned") or diag($done->{err});
        }
        my %ended;
        $ended{ eval { $_->read_close->{code} } // 'not ended' }++ for @victims;
        is(told(%ended), '12 4009', 'each is told so');
        ok($nginx->wait_gone(@old), 'the old workers are gone');
        ok(wait_for {
                my $there = $watcher->must('presence', channel => 'room:bans');
                $there->{count} == 2 && !grep { $_->{user} =~ /^banned/ } @{ $there->{members} };
            }, 'and none is a member any more');
        my $again = Weft::Client->open(port => $node->port, ticket => $t->ticket(sub => $users[-1]));
        is($again->read_close->{code}, 4009, 'nor let in again');
    }
    $node->publish('chat:bans', '"after"');
    is(wait_for { my $event = $bystander->event; $event->{channel} eq 'chat:bans' && $event->{data} }, 'after', 'who was not banned is here still');
    is($bystander->call('ping')->{type}, 'pong', 'and is answered');
    $_->leave for $watcher, $bystander;
    nobody_is_counted();
};

check 'a worker that has no descriptor left refuses whom it can\'t take, and they are told to reconnect' => sub {
    # It looks whether memory is there by means of a pipe, and takes every object for a bad one where it gets none.
    plan skip_all => 'a sanitizer needs a descriptor left' if $ENV{ASAN_OPTIONS};
    my @before  = $nginx->reload(workers => 1);
    ok($nginx->wait_gone(@before), 'one worker is left');
    $node->wait_linked;    # it has opened all that it needs
    my ($idle)  = map { $nginx->descriptors_of($_) } $nginx->workers;
    my @clients = map { $node->client } 1 .. 80;
    $_->subscribe('chat:few') for @clients;
    $t->expect_in_log(qr/Too many open files/);
    my @old = $nginx->reload(workers => 1, connections => 512, main => 'worker_rlimit_nofile ' . ($idle + 30) . ";\n");
    ok($nginx->wait_gone(@old), 'the old worker is gone');
    # For who publishes there may be no descriptor, either.
    @old = $nginx->reload(workers => 1);
    ok($nginx->wait_gone(@old), 'so is the one after it');
    ok(wait_for { $node->publish('chat:few', '"after"')->{status} == 202 }, 'published');
    my %ended;
    $ended{ fate($_) }++ for @clients;
    is(join(' ', sort keys %ended), '1012 served', 'some moved twice, and the others were told: ' . told(%ended));
    $_->hang_up for @clients;
    nobody_is_counted();
    my ($worker) = $nginx->workers;
    ok(wait_for { $nginx->descriptors_of($worker) <= $idle + 2 }, 'nor is a descriptor kept') or diag("$idle before, now " . $nginx->descriptors_of($worker));
};

check 'who has more waiting than can move is drained, and takes nobody along' => sub {
    my ($slow, @others) = map { $node->client } 1 .. 40;
    $slow->subscribe('chat:much');
    $_->subscribe('chat:others') for @others;
    my $big = 'x' x 400_000;
    $node->publish('chat:much', qq("$big")) for 1 .. 30;
    my @old = $nginx->reload(workers => 1);
    $node->publish('chat:others', '"after"');
    my %ended;
    $ended{ fate($_) }++ for @others;
    is(told(%ended), '39 served', 'the others are served');
    ok(wait_for { my %new = map { $_ => 1 } $nginx->workers; delete @new{@old}; @others == grep { $new{ $nginx->worker_of($_) // 0 } } @others }, 'by a new worker');
    my $heard = 0;
    wait_for { my $frame = eval { $slow->next_frame } or return 1; $heard++ if $frame->{payload} =~ /"$big"/; $heard == 30 };
    is($heard, 30, 'it gets what waited for it');
    $_->hang_up for $slow, @others;
    ok($nginx->wait_gone(@old), 'and the old worker goes');
    nobody_is_counted();
};

# It is in so many channels of long names.
sub in_many_channels {
    my ($name, $count) = @_;
    my $client = $node->client(sub => $name);
    my $long   = "chat:$name-" . 'x' x 225;
    for (my $i = 0; $i < $count; $i += 500) {
        $client->raw_send(join '', map { Weft::Client::frame_bytes(text => qq({"type":"subscribe","payload":{"channel":"$long-$_"}})) } $i .. $i + 499);
        $client->drain;
    }
    my $last = $count - 1;
    ok(wait_for { $client->must('unsubscribe', channel => "$long-$last") }, "$name is in $count channels");
    $client->subscribe("$long-$last");
    $client->drain;
    return ($client, "$long-$last");
}

check 'who is in more channels than one message can name is drained, and takes nobody along' => sub {
    my @before = $nginx->reload(workers => 1);
    ok($nginx->wait_gone(@before), 'one worker is left');
    $node->wait_linked;
    # The names of the first have more than the 8 MiB that can be said of a connection; the others go one after the other.
    my ($most, $channel) = in_many_channels(most => 35_000);
    my @others = map { [ in_many_channels($_ => 11_500) ] } 'one', 'two', 'three';
    my @old = $nginx->reload(workers => 1);
    my %old = map { $_ => 1 } @old;
    ok(wait_for { !grep { my $worker = $nginx->worker_of($_->[0]); !$worker || $old{$worker} } @others }, 'the others move');
    for my $one (@others, [ $most, $channel ]) {
        $node->publish($one->[1], '"after"');
        is($one->[0]->event->{channel}, $one->[1], 'and is served');
    }
    ok($old{ $nginx->worker_of($most) // 0 }, 'it is still served by the old worker');
    $_->[0]->hang_up for @others;
    $most->hang_up;
    ok($nginx->wait_gone(@old), 'which goes when it has gone');
    nobody_is_counted();
};

# A worker that says that it is ready for connections, as this Weft does, and from then on listens: its process, and a file
# to remove when it has been killed.
sub silent_worker {
    my $folder  = $nginx->folder . '/nginx.pid.weft';
    my $owner   = (stat $folder)[4];
    my ($version) = `$Weft::Test::BUILD/weftd --version` =~ m{^weft/(\S+)} or die "no version\n";
    pipe my $in, my $out or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        $SIG{PIPE} = 'IGNORE';
        POSIX::setuid($owner) if $> == 0;
        my $listener = IO::Socket::UNIX->new(Local => "$folder/$$", Listen => 8) or POSIX::_exit(1);
        my $welcome  = "\x08\x01\x20\x01\x32" . chr(length $version) . $version;
        my $frame    = "\x12" . chr(length $welcome) . $welcome;
        syswrite $out, 'L';
        while (my $peer = $listener->accept) {
            syswrite $peer, pack('N', length $frame) . "\0" . $frame;
            1 while sysread $peer, $_, 65536;
        }
        POSIX::_exit(0);
    }
    close $out;
    sysread $in, my $listens, 1;
    is($listens, 'L', 'it listens');
    return ($pid, "$folder/$pid");
}

check 'who is expected by a worker that says nothing more stays, and is drained' => sub {
    my @before = $nginx->reload(workers => 1);
    ok($nginx->wait_gone(@before), 'one worker is left');
    $node->wait_linked;
    my @clients = map { $node->client } 1 .. 300;
    $_->subscribe('chat:silence') for @clients;
    my ($pid, $file) = silent_worker();
    $t->expect_in_log(qr/nothing was heard of 64 connections that move to worker $pid/);
    my @old = $nginx->reload(workers => 1);
    my %old = map { $_ => 1 } @old;
    my $stayed = sub { scalar grep { $old{ $nginx->worker_of($_) // 0 } } @clients };
    ok(wait_for { $stayed->() == 64 }, 'the others move to the worker that takes them') or diag($stayed->());
    ok(wait_for { $nginx->error_log =~ /nothing was heard of 64 connections/ }, 'the log tells of those that it left alone');
    $node->publish('chat:silence', '"after"');
    my %ended;
    $ended{ fate($_) }++ for @clients;
    is(told(%ended), '300 served', 'all are served');
    is($stayed->(), 64, 'by the old worker, as before');
    kill KILL => $pid;
    waitpid $pid, 0;
    unlink $file;
    $_->hang_up for @clients;
    ok($nginx->wait_gone(@old), 'which goes when they have gone');
    nobody_is_counted();
};

$t->finish;
done_testing;
