# Eight nodes on one machine: each talks to each, two are killed, and all know the same.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Weft::Test;
use Weft::Test::Traffic;

my $t     = Weft::Test->new;
my @names = 'a' .. 'h';
my @nodes = $t->mesh(@names, {
    location   => 'weft_ticket key=' . $t->key_file . '; weft_rate off;',
    rules      => "weft_channel kept:* { publish on; history 1000 10m; }\nweft_channel sure:* { publish on; history 1000 10m; ack peer; }\n"
        . "weft_channel room:* { publish on; presence on debounce=100ms; }\nweft_channel ** { publish on; }\n",
    weftd_yaml => "  heartbeat: 300ms\n  dead: 3s\n  sync: 1s\n  member_timeout: 2s\n",
});
my %node = map { $_->name => $_ } @nodes;

# The peers that a node has links to, by its log.
sub linked {
    my ($node) = @_;
    my %up;
    for ($node->weftd->log_text =~ /event=(peer_(?:up|down) peer=\w+ direction=out|started)/g) {
        if    (/started/)         { %up = () }
        elsif (/up peer=(\w+)/)   { $up{$1} = 1 }
        elsif (/down peer=(\w+)/) { delete $up{$1} }
    }
    return join '', sort keys %up;
}
sub all_linked {
    my (@among) = @_;
    my $all = join '', map { $_->name } @among;
    return wait_for { !grep { my $name = $_->name; linked($_) ne $all =~ s/$name//r } @among };
}
sub publish {
    my ($node, $channel, @data) = @_;
    my $client = $node->client;
    for my $data (@data) {
        wait_for { $client->call('publish', channel => $channel, data => $data, message_id => $data)->{type} eq 'published' }
            or die "not published\n";
    }
    $client->hang_up;
    return;
}
sub same_everywhere {
    my ($what, $expected, $among, $look) = @_;
    my @seen;
    ok(wait_for { @seen = map { $look->($_) } @$among; !grep { $_ ne $expected } @seen }, $what)
        or diag(join "\n", "expected $expected", @seen);
    return;
}
sub holds {
    my ($channel, $expected, @among) = @_;
    return same_everywhere("all hold $channel", join(' ', sort @$expected), \@among,
        sub { join ' ', sort keys %{ Weft::Test::Traffic::held($_[0], $channel) } });
}
sub members_are {
    my ($expected, @among) = @_;
    return same_everywhere('all know the members', "@$expected", \@among, sub {
        my $client = $_[0]->client;
        my $answer = $client->call('presence', channel => 'room:all');
        $client->hang_up;
        return $answer->{type} unless $answer->{payload}{members};
        return join ' ', sort map { $_->{user} } @{ $answer->{payload}{members} };
    });
}

check 'every pair is linked' => sub { ok(all_linked(@nodes), 'both ways') };

my %guest = map { $_ => $node{$_}->client(sub => "user-$_") } @names;
check 'what each publishes comes to all, once' => sub {
    $guest{$_}->subscribe('chat:all') for @names;
    publish($node{$_}, 'chat:all', "from-$_") for @names;
    for my $name (@names) {
        my @got = map { $guest{$name}->event->{data} } @names;
        is_deeply([ sort @got ], [ map { "from-$_" } @names ], "$name has it all");
    }
    is(scalar(map { $_->drain } values %guest), 0, 'and no more');
};

my @kept = map { my $name = $_; map { "$name-$_" } 1 .. 5 } @names;
check 'all keep the same history, and know the same members' => sub {
    for my $name (@names) { publish($node{$name}, 'sure:all', grep { /^$name-/ } @kept) }
    holds('sure:all', \@kept, @nodes);
    $guest{$_}->subscribe('room:all') for @names;
    members_are([ map { "user-$_" } @names ], @nodes);
};

check 'two are killed: the others go on, and have lost nothing' => sub {
    my @left = grep { $_->name !~ /[cf]/ } @nodes;
    $node{$_}->weftd->crash for qw(c f);
    ok(all_linked(@left), 'the others see it');
    publish($_, 'sure:all', 'later-' . $_->name), push @kept, 'later-' . $_->name for @left;
    holds('sure:all', \@kept, @left);
    members_are([ map { 'user-' . $_->name } @left ], @left);
    $node{$_}->weftd->start for qw(c f);
    $node{$_}->wait_linked for qw(c f);
    ok(all_linked(@nodes), 'they come back');
    holds('sure:all', \@kept, @nodes);
    members_are([ map { "user-$_" } @names ], @nodes);
};

$t->finish;
done_testing;
