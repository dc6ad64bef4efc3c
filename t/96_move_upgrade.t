# Binary upgrade, and the way back, with clients that move to the other master's workers and don't notice. (t/95_move.t:
# reloads; t/30_binary_upgrade.t: clients that are drained.)
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Weft::Test;

my $t   = Weft::Test->new;
my $key = $t->key_file;
my $published = 0;

# Whichever generation accepts it must take it, and each client get it, in order.
sub publish {
    my ($node, $count, @clients) = @_;
    my @want = map { ++$published } 1 .. $count;
    my @refused = grep { $_ != 202 } map { $node->publish('chat:up', $_)->{status} } @want;
    is(scalar @refused, 0, "publications @want are accepted") or diag("@refused");
    my $good = grep { my $client = $_; "@want" eq join ' ', map { $client->event->{data} } @want } @clients;
    is($good, scalar @clients, 'and all get them, and nothing else');
    return;
}

sub all_with {
    my ($nginx, $master, @clients) = @_;
    my %workers = map { $_ => 1 } $nginx->workers_of($master);
    return scalar(@clients) == grep { $workers{ $nginx->worker_of($_) // 0 } } @clients;
}

check 'USR2, WINCH, QUIT: clients go over to the new binary; HUP and QUIT: and come back' => sub {
    my $node    = $t->node('up', daemon => 1, workers => 2, reuseport => 0, http => "    weft_drain 600s;\n",
        location => "weft_ticket key=$key; weft_rate off;");
    my $nginx   = $node->nginx;
    my @clients = map { $node->client } 1 .. 30;
    $_->subscribe('chat:up') for @clients;
    publish($node, 3, @clients);

    my ($old, $new) = $nginx->upgrade;
    my @old_workers = $nginx->workers_of($old);
    publish($node, 3, @clients);
    $old->signal('WINCH');
    publish($node, 5, @clients);
    ok($nginx->wait_gone(@old_workers), 'the old workers are gone long before the drain time is over');
    ok(all_with($nginx, $new, @clients), 'all clients are with workers of the new master');
    publish($node, 3, @clients);

    # The way back.
    my @new_workers = $nginx->workers_of($new);
    $old->signal('HUP');
    ok(wait_for { $nginx->workers_of($old) == 2 }, 'the old master has workers again');
    $new->signal('QUIT');
    publish($node, 5, @clients);
    is($new->wait_end, 0, 'the new master ends');
    ok($nginx->wait_gone(@new_workers), 'with its workers');
    $nginx->follow($old);
    ok(all_with($nginx, $old, @clients), 'all clients are back');
    publish($node, 3, @clients);

    # And once more, to the end.
    ($old, $new) = $nginx->upgrade;
    $old->signal('QUIT');
    publish($node, 5, @clients);
    is($old->wait_end, 0, 'the old master ends');
    ok(all_with($nginx, $new, @clients), 'all clients are with the new one');
    my @reloaded = $nginx->reload;
    publish($node, 5, @clients);
    ok($nginx->wait_gone(@reloaded), 'which can reload');
    is($node->status->{connections}{active}, 30, 'each is counted once');
    $_->must('ping') for @clients;
    $_->leave for @clients;
};

$t->finish;
done_testing;
