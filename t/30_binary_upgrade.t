# Binary upgrade: USR2, WINCH, QUIT of the old master, and the way back, under publishers and clients that are drained. (t/96_move_upgrade.t: that move.)
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Weft::Test;

my $t   = Weft::Test->new;
my $key = $t->key_file;

my %published;    # how often each channel was published to

# Publications by POST, each by a connection of its own: whichever generation accepts it must take it.
sub publish {
    my ($node, $channel, $count) = @_;
    my @refused = grep { $_ != 202 } map { $node->publish($channel, ++$published{$channel})->{status} } 1 .. $count;
    is(scalar @refused, 0, "$count publications are accepted") or diag("@refused");
    return;
}

sub subscribers {
    my ($node, $channel, $count) = @_;
    my @clients = map { $node->client } 1 .. $count;
    $_->subscribe($channel) for @clients;
    return @clients;
}

# Each gets the next publications, in order and without a hole.
sub all_get {
    my ($count, $first, @clients) = @_;
    my @want = map { $first + $_ } 0 .. $count - 1;
    my $good = grep { my $client = $_; "@want" eq join ' ', map { $client->event->{data} } @want } @clients;
    is($good, scalar @clients, "all get publications $first to $want[-1]");
    return;
}

# Each is told to reconnect and closed with 1012, having missed nothing of what came before.
sub sent_away {
    my ($first, @clients) = @_;
    my ($told, $whole) = (0, 0);
    for my $client (@clients) {
        my $close     = $client->read_close;
        my ($reconnect) = grep { $_->{type} eq 'reconnect' } @{ $close->{messages} };
        my @got       = map { $_->{payload}{data} } grep { $_->{type} eq 'event' } @{ $close->{messages} };
        $told++  if $reconnect && ($close->{code} // 0) == 1012;
        $whole++ if "@got" eq join ' ', map { $first + $_ } 0 .. $#got;
    }
    is($told,  scalar @clients, 'all are told to reconnect, and closed with 1012');
    is($whole, scalar @clients, 'and none has a hole in what it got before');
    return;
}

sub status_settles {
    my ($node, $active, $workers) = @_;
    my $status;
    ok(
        wait_for {
            $status = $node->status;
            $status->{connections}{active} == $active && $status->{subscriptions} == $active
                && $status->{workers} == $workers && $status->{link}{up} == $workers;
        },
        "status counts $active connections with one subscription each, and $workers linked workers"
    ) or diag(explain($status));
    return;
}

sub pid_file { my ($node, $file) = @_; return slurp($node->nginx->folder . "/$file") =~ s/\s+$//r }

check 'USR2, WINCH and QUIT of the old master: the new binary takes over' => sub {
    my $node    = $t->node('up', daemon => 1, workers => 2, http => "    weft_drain 2s;\n    weft_reload drain;\n",
        location => "weft_ticket key=$key; weft_rate off;");
    my $nginx   = $node->nginx;
    my $channel = 'chat:up';
    my @clients = subscribers($node, $channel, 20);
    publish($node, $channel, 5);
    all_get(5, 1, @clients);

    my ($old, $new) = $nginx->upgrade;
    my @old_workers = $nginx->workers_of($old);
    is(scalar @old_workers,       2,        'the old workers are there');
    is(pid_file($node, 'nginx.pid'), $new->pid, 'beside the new ones');
    # The generations count in zones of their own (see the limits below), and either may answer.
    publish($node, $channel, 5);
    all_get(5, 6, @clients);

    my $publisher = $node->client;
    $old->signal('WINCH');
    $publisher->must('publish', channel => $channel, data => ++$published{$channel});
    publish($node, $channel, 5);
    sent_away(11, @clients);
    $publisher->hang_up;
    ok($nginx->wait_gone(@old_workers), 'the old workers are gone once the drain time is over');
    $node->wait_linked;

    @clients = subscribers($node, $channel, 20);
    my $first = $published{$channel} + 1;
    publish($node, $channel, 5);
    all_get(5, $first, @clients);
    status_settles($node, 20, 2);

    $old->signal('QUIT');
    is($old->wait_end, 0, 'the old master ends');
    ok(wait_for { !-e $nginx->folder . '/nginx.pid.oldbin' }, 'and takes its pid file with it');
    is(pid_file($node, 'nginx.pid'), $new->pid, 'the new one has the other');
    publish($node, $channel, 5);
    all_get(5, $first + 5, @clients);
    status_settles($node, 20, 2);

    # The new master is a whole one: it reloads, too.
    my @reloaded = $nginx->reload;
    sent_away($first + 10, @clients);
    ok($nginx->wait_gone(@reloaded), 'and it can reload');
};

check 'the way back: HUP to the old master, QUIT to the new one' => sub {
    my $node    = $t->node('back', daemon => 1, workers => 2, reuseport => 0, http => "    weft_drain 1s;\n    weft_reload drain;\n",
        location => "weft_ticket key=$key; weft_rate off;");
    my $nginx   = $node->nginx;
    my $channel = 'chat:back';
    my @before  = subscribers($node, $channel, 10);

    my ($old, $new) = $nginx->upgrade;
    my @old_workers = $nginx->workers_of($old);
    $old->signal('WINCH');
    sent_away(1, @before);
    ok($nginx->wait_gone(@old_workers), 'the first workers are gone');
    $node->wait_linked;
    my @between = subscribers($node, $channel, 10);
    publish($node, $channel, 3);
    all_get(3, 1, @between);

    my @new_workers = $nginx->workers_of($new);
    $old->signal('HUP');
    ok(wait_for { $nginx->workers_of($old) == 2 }, 'the old master has workers again');
    $new->signal('QUIT');
    publish($node, $channel, 3);
    sent_away(4, @between);
    is($new->wait_end, 0, 'the new master ends');
    ok($nginx->wait_gone(@new_workers), 'with its workers');
    ok(wait_for { pid_file($node, 'nginx.pid') eq $old->pid }, 'and the old one has its pid file back');

    $nginx->follow($old);
    $node->wait_linked;
    my @after = subscribers($node, $channel, 10);
    publish($node, $channel, 3);
    all_get(3, 7, @after);
    status_settles($node, 10, 2);
};

check 'a limit of connections holds for each generation; those who move count with the new one' => sub {
    my $node  = $t->node('limit', daemon => 1, workers => 1, http => "    weft_drain 600s;\n    weft_connections per_ip=3;\n",
        location => "weft_ticket key=$key;");
    my $nginx = $node->nginx;
    my @in;
    # What a client is told that comes: 0 when it is in, else the code.
    my $come = sub {
        my $client = Weft::Client->open(port => $nginx->port, ticket => $t->ticket);
        my $first  = $client->next_message;
        if ($first->{type} eq 'connection_established') { push @in, $client; return 0 }
        $client->read_close;
        $client->hang_up;
        return $first->{payload}{code} // '?';
    };
    # Either generation may be asked.
    my $nobody = sub { is(join(' ', map { $come->() } 1 .. 20), join(' ', (4015) x 20), $_[0]) };
    my $with   = sub {
        my ($master) = @_;
        my %workers = map { $_ => 1 } $nginx->workers_of($master);
        return scalar grep { $workers{ $nginx->worker_of($_) // 0 } } @in;
    };
    is(join(' ', map { $come->() } 1 .. 4), '0 0 0 4015', 'three come in');

    my ($old, $new) = $nginx->upgrade;
    my @old_workers = $nginx->workers_of($old);
    ok(wait_for { $come->(); @in == 6 }, 'another three');
    is($with->($new), 3, 'which the new generation let in');
    $nobody->('and neither lets in one more');

    $old->signal('WINCH');
    ok($nginx->wait_gone(@old_workers), 'the old workers go');
    is($with->($new), 6, 'all six are with the new generation');
    $nobody->('which lets in nobody');
    my $left = sub { $_->leave for splice @in, 0, $_[0]; return wait_for { $node->status->{connections}{active} == @in } };
    ok($left->(3), 'the three who moved leave');
    $nobody->('and with three it lets in nobody');
    ok($left->(1), 'another one leaves');
    is($come->(), 0, 'and one comes in');
    $nobody->('and not one more');
    $old->signal('QUIT');
    is($old->wait_end, 0, 'the old master ends');
    $_->leave for @in;
    ok(wait_for { my $status = $node->status; !$status->{connections}{active} && !$status->{zone}{records} }, 'nothing stays counted')
        or diag(explain($node->status));
};

check 'a binary that does not start costs nobody anything' => sub {
    my $node   = $t->node('wrong', daemon => 1, workers => 2, location => "weft_ticket key=$key; weft_rate off;");
    my $nginx  = $node->nginx;
    my $client = $node->client;
    my @before = sort $nginx->workers;
    $client->subscribe('chat:wrong');
    $t->expect_in_log(qr/\[emerg\] .*"weft_rate"/);
    $t->expect_in_log(qr/new binary process \d+ exited with code 1/);
    $nginx->write_configuration(location => "weft_ticket key=$key; weft_rate wrong;");
    $nginx->signal('USR2');
    ok(wait_for { $nginx->error_log =~ /\[emerg\] .*"weft_rate"/ }, 'the error is logged');
    ok(wait_for { pid_file($node, 'nginx.pid') eq $nginx->pid && !-e $nginx->folder . '/nginx.pid.oldbin' },
        'the old master has its pid file back');
    is_deeply([ sort $nginx->workers ], \@before, 'the workers are the same');
    is($node->publish('chat:wrong', 1)->{status}, 202, 'and serve');
    is($client->event->{data}, 1, 'on all sides');
};

check 'TERM to both masters in the middle of an upgrade ends everything' => sub {
    my $node    = $t->node('both', daemon => 1, workers => 2, location => "weft_ticket key=$key;");
    my $nginx   = $node->nginx;
    my @clients = map { $node->client } 1 .. 10;
    my ($old, $new) = $nginx->upgrade;
    push @clients, map { $node->client } 1 .. 10;
    my @workers = map { $nginx->workers_of($_) } $old, $new;
    $_->signal('TERM') for $old, $new;
    is($_->wait_end, 0, 'a master ends') for $old, $new;
    ok($nginx->wait_gone(@workers), 'and the workers');
    is(scalar(grep { my $client = $_; wait_for { !$client->is_open } } @clients), 20, 'every client sees the end');
};

$t->finish;
done_testing;
